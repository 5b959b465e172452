import java.io.FileInputStream;
import java.net.Socket;
import java.security.KeyStore;
import java.security.Principal;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import javax.net.ssl.KeyManager;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedKeyManager;

/** A TLS context whose own key is one key of the token, and whose trust is a file of CA certificates. */
final class Tls {
    private Tls() {}

    /** {@code alias} null: no key of its own. */
    static SSLContext context(KeyStore token, String alias, String trustFile) throws Exception {
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        try (FileInputStream in = new FileInputStream(trustFile)) {
            trusted.load(in, "123456".toCharArray());
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);
        KeyManager[] keys = alias == null ? null : new KeyManager[] {new OneKey(token, alias)};
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys, trust.getTrustManagers(), null);
        return context;
    }

    /** Offers one entry of a key store, for whatever its key can do; Java's own managers pick any that fits. */
    private static final class OneKey extends X509ExtendedKeyManager {
        private final String alias;
        private final PrivateKey key;
        private final X509Certificate[] chain;

        OneKey(KeyStore store, String alias) throws Exception {
            this.alias = alias;
            key = (PrivateKey) store.getKey(alias, null);
            java.security.cert.Certificate[] held = store.getCertificateChain(alias);
            if (key == null || held == null) {
                throw new java.security.KeyStoreException("no key with a certificate is named " + alias);
            }
            chain = java.util.Arrays.copyOf(held, held.length, X509Certificate[].class);
        }

        private String fits(String... types) {
            for (String type : types) {
                // JSSE asks by the key's algorithm, with more behind an underscore in old suites.
                if (type.split("_")[0].equals(key.getAlgorithm())) {
                    return alias;
                }
            }
            return null;
        }

        @Override
        public String chooseClientAlias(String[] types, Principal[] issuers, Socket socket) {
            return fits(types);
        }

        @Override
        public String chooseEngineClientAlias(String[] types, Principal[] issuers, SSLEngine engine) {
            return fits(types);
        }

        @Override
        public String chooseServerAlias(String type, Principal[] issuers, Socket socket) {
            return fits(type);
        }

        @Override
        public String chooseEngineServerAlias(String type, Principal[] issuers, SSLEngine engine) {
            return fits(type);
        }

        @Override
        public String[] getClientAliases(String type, Principal[] issuers) {
            return new String[] {alias};
        }

        @Override
        public String[] getServerAliases(String type, Principal[] issuers) {
            return new String[] {alias};
        }

        @Override
        public X509Certificate[] getCertificateChain(String name) {
            return chain.clone();
        }

        @Override
        public PrivateKey getPrivateKey(String name) {
            return key;
        }
    }
}
