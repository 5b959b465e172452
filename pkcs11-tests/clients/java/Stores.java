import java.io.FileInputStream;
import java.security.Key;
import java.security.KeyStore;
import java.security.KeyStoreException;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.Signature;
import java.security.cert.Certificate;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import javax.crypto.Cipher;
import javax.crypto.SecretKey;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/** The token as a java.security.KeyStore: Stores CONFIG PIN FILE.p12 (password 123456, aliases rsa and ec). */
public final class Stores {
    private static Provider provider;
    private static KeyStore token;

    public static void main(String[] arguments) throws Exception {
        provider = Check.provider(arguments[0]);
        token = Check.store(provider, arguments[1]);
        KeyStore file = KeyStore.getInstance("PKCS12");
        try (FileInputStream in = new FileInputStream(arguments[2])) {
            file.load(in, "123456".toCharArray());
        }
        List<String> before = aliases();
        for (String alias : List.of("rsa", "ec")) {
            moveIn(alias, (PrivateKey) file.getKey(alias, "123456".toCharArray()), file.getCertificateChain(alias));
        }
        replaceChain(file);
        secretKey();
        trustedCertificate(file.getCertificateChain("rsa"));
        unknownAlias();
        Check.that("nothing is left", aliases().equals(before));
        Check.ok("deleteEntry: all is gone, also for a store loaded anew");
    }

    /** What a store that is loaded anew sees. */
    private static List<String> aliases() throws Exception {
        KeyStore fresh = KeyStore.getInstance("PKCS11", provider);
        fresh.load(null, null);
        List<String> aliases = Collections.list(fresh.aliases());
        Collections.sort(aliases);
        Check.that("size", fresh.size() == aliases.size());
        return aliases;
    }

    /** A key of a file becomes a key of the token, with its chain, and signs there. */
    private static void moveIn(String alias, PrivateKey key, Certificate[] chain) throws Exception {
        String name = "moved " + alias;
        Check.that("a chain of two", chain.length == 2);
        token.setKeyEntry(name, key, null, chain);
        Check.that("listed", aliases().contains(name) && token.isKeyEntry(name) && !token.isCertificateEntry(name));
        Check.that("the chain is whole", Arrays.equals(chain, token.getCertificateChain(name)));
        Check.that("found by its certificate", name.equals(token.getCertificateAlias(chain[0])));
        PrivateKey held = (PrivateKey) token.getKey(name, null);
        byte[] data = Check.random(1000);
        Signature signer = Signature.getInstance("SHA256with" + (alias.equals("ec") ? "ECDSA" : "RSA"), provider);
        signer.initSign(held);
        signer.update(data);
        byte[] signature = signer.sign();
        Signature verifier = Signature.getInstance(signer.getAlgorithm());
        verifier.initVerify(chain[0]);
        verifier.update(data);
        Check.that("the moved key is the key of its certificate", verifier.verify(signature));
        Check.ok("setKeyEntry " + alias + ": chain kept, key signs");
    }

    /** A new chain for a key that is there: what importing a CA's answer does. */
    private static void replaceChain(KeyStore file) throws Exception {
        Certificate[] chain = file.getCertificateChain("ec");
        Key key = token.getKey("moved ec", null);
        token.setKeyEntry("moved ec", key, null, new Certificate[] {chain[0]});
        Check.that("shorter", token.getCertificateChain("moved ec").length == 1
                || Arrays.equals(chain, token.getCertificateChain("moved ec")));
        token.setKeyEntry("moved ec", key, null, chain);
        Check.that("whole again", Arrays.equals(chain, token.getCertificateChain("moved ec")));
        Check.ok("setKeyEntry over an entry: the chain is replaced, the key stays");
        token.deleteEntry("moved rsa");
        token.deleteEntry("moved ec");
    }

    private static void secretKey() throws Exception {
        byte[] raw = Check.random(32);
        token.setKeyEntry("secret", new SecretKeySpec(raw, "AES"), null, null);
        Check.that("listed", aliases().contains("secret"));
        SecretKey held = (SecretKey) token.getKey("secret", null);
        byte[] iv = Check.random(16);
        byte[] data = Check.random(100);
        Cipher here = Cipher.getInstance("AES/CBC/PKCS5Padding", provider);
        here.init(Cipher.ENCRYPT_MODE, held, new IvParameterSpec(iv));
        Cipher java = Cipher.getInstance("AES/CBC/PKCS5Padding", "SunJCE");
        java.init(Cipher.DECRYPT_MODE, new SecretKeySpec(raw, "AES"), new IvParameterSpec(iv));
        Check.same("the same key", data, java.doFinal(here.doFinal(data)));
        token.deleteEntry("secret");
        Check.ok("setKeyEntry AES: kept in the token, found again, works");
    }

    /** Java stores no certificate without a key: what a token trusts is for its officer to say. */
    private static void trustedCertificate(Certificate[] chain) {
        Check.refused("a certificate by itself", KeyStoreException.class, "trusted certificates may only be set",
                () -> {
                    token.setCertificateEntry("authority", chain[chain.length - 1]);
                    return null;
                });
        Check.ok("setCertificateEntry: Java's own refusal");
    }

    private static void unknownAlias() throws Exception {
        Check.that("no key", token.getKey("nobody", null) == null);
        Check.that("no chain", token.getCertificateChain("nobody") == null);
        Check.that("not there", !token.containsAlias("nobody"));
        Check.ok("an unknown alias is no error");
    }
}
