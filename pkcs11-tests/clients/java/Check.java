import java.security.KeyStore;
import java.security.Provider;
import java.security.SecureRandom;
import java.security.Security;
import java.util.Arrays;
import java.util.concurrent.Callable;

/** What all programs here share: the provider, the login, and checks that print "ok …" or end the program. */
final class Check {
    private Check() {}

    /** The provider from a configuration file, after Java's own. */
    static Provider provider(String config) {
        Provider provider = Security.getProvider("SunPKCS11").configure(config);
        Security.addProvider(provider);
        return provider;
    }

    /** Logs in and opens the token as a key store. */
    static KeyStore store(Provider provider, String pin) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS11", provider);
        store.load(null, pin.toCharArray());
        return store;
    }

    static byte[] random(int length) {
        byte[] bytes = new byte[length];
        new SecureRandom().nextBytes(bytes);
        return bytes;
    }

    static void ok(String text) {
        System.out.println("ok " + text);
    }

    static void that(String text, boolean condition) {
        if (!condition) {
            throw new AssertionError(text);
        }
    }

    static void same(String text, byte[] one, byte[] other) {
        that(text, one != null && Arrays.equals(one, other));
    }

    /** The work fails with this kind of exception, and it or one of its causes says these words. */
    static Throwable refused(String text, Class<? extends Throwable> kind, String words, Callable<?> work) {
        Throwable thrown = null;
        try {
            work.call();
        } catch (Throwable caught) {
            thrown = caught;
        }
        if (!kind.isInstance(thrown)) {
            throw new AssertionError(text + ": wanted " + kind.getName(), thrown);
        }
        for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
            if (String.valueOf(cause.getMessage()).contains(words)) {
                return thrown;
            }
        }
        throw new AssertionError(text + ": nothing says \"" + words + "\"", thrown);
    }
}
