import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.KeyStoreException;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.ProviderException;
import java.security.Signature;
import javax.security.auth.login.FailedLoginException;
import javax.security.auth.login.LoginException;

/** What Java says when it may not, cannot, or finds nothing. One kind of trouble a run: see main. */
public final class Refusals {
    public static void main(String[] arguments) throws Exception {
        String config = arguments[1];
        switch (arguments[0]) {
            case "wrong-pin" -> wrongPin(config, arguments[2]);
            case "lock" -> lock(config, arguments[2]);
            case "locked" -> locked(config, arguments[2]);
            case "no-slot" -> noProvider("no such slot", config, "CKR_SLOT_ID_INVALID");
            case "no-library" -> noProvider("no such library", config, "does not exist");
            case "no-token" -> noProvider("a token that nobody initialised", config, "CKR_TOKEN_NOT_RECOGNIZED");
            case "read-only" -> readOnly(config, arguments[2]);
            case "removed" -> removed(config, arguments[2], Path.of(arguments[3]));
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    /** KeyStore.load fails with an IOException, and a login exception stands among its causes. */
    private static void loginFails(Provider provider, String pin, Class<?> kind, String words) {
        Throwable thrown = Check.refused("login", IOException.class, words, () -> Check.store(provider, pin));
        while (thrown != null && !kind.isInstance(thrown)) {
            thrown = thrown.getCause();
        }
        Check.that("among the causes: " + kind.getName(), thrown != null);
    }

    private static void wrongPin(String config, String pin) throws Exception {
        Provider provider = Check.provider(config);
        Check.refused("no PIN at all", IOException.class, "no password provided", () -> {
            KeyStore store = KeyStore.getInstance("PKCS11", provider);
            store.load(null, null);
            return store;
        });
        loginFails(provider, "not the PIN", FailedLoginException.class, "CKR_PIN_INCORRECT");
        Check.that("the right one opens it", Check.store(provider, pin).size() > 0);
        Check.ok("a wrong PIN: IOException, caused by FailedLoginException, CKR_PIN_INCORRECT; the right one works then");
    }

    private static void lock(String config, String pin) throws Exception {
        Provider provider = Check.provider(config);
        String wrong = pin.substring(0, pin.indexOf(':')) + ":wrong";
        for (int attempt = 0; attempt < 4; attempt++) {
            Check.refused("attempt " + attempt, IOException.class, "CKR_PIN_INCORRECT", () -> Check.store(provider, wrong));
        }
        Check.refused("the last attempt", IOException.class, "CKR_PIN_", () -> Check.store(provider, wrong));
        loginFails(provider, pin, LoginException.class, "CKR_PIN_LOCKED");
        Check.ok("five wrong PINs: the right one is told CKR_PIN_LOCKED");
    }

    private static void locked(String config, String pin) {
        loginFails(Check.provider(config), pin, LoginException.class, "CKR_PIN_LOCKED");
        Check.ok("a locked user stays locked in another process");
    }

    private static void noProvider(String what, String config, String words) {
        Check.refused(what, ProviderException.class, words, () -> Check.provider(config));
        Check.ok(what + ": ProviderException, " + words);
    }

    private static boolean signs(Provider provider, KeyStore token) throws Exception {
        Signature signer = Signature.getInstance("SHA256withECDSA", provider);
        signer.initSign((PrivateKey) token.getKey("alice-ec", null));
        signer.update(new byte[100]);
        byte[] signature = signer.sign();
        Signature verifier = Signature.getInstance("SHA256withECDSA");
        verifier.initVerify(token.getCertificate("alice-ec"));
        verifier.update(new byte[100]);
        return verifier.verify(signature);
    }

    /** The folder of the token's files is moved away, and comes back. */
    private static void removed(String config, String pin, Path folder) throws Exception {
        Provider provider = Check.provider(config);
        KeyStore token = Check.store(provider, pin);
        Check.that("it signs", signs(provider, token));
        Path away = folder.resolveSibling("away");
        Files.move(folder, away);
        String without;
        try {
            Check.that("a signature without the files is right", signs(provider, token));
            without = "signs on";
        } catch (GeneralSecurityException | ProviderException refused) {
            without = "says " + refused;
        }
        Check.refused("no key goes", KeyStoreException.class, "CKR_DEVICE_REMOVED", () -> {
            token.deleteEntry("alice-ec");
            return null;
        });
        Files.move(away, folder);
        token.load(null, null); // Java's own list has lost the entry
        Check.that("it signs again", signs(provider, token));
        Check.ok("a token that is removed and comes back: meanwhile Java " + without + ", and changes nothing");
    }

    private static void readOnly(String config, String pin) throws Exception {
        Provider provider = Check.provider(config);
        KeyStore token = Check.store(provider, pin);
        Check.that("it signs", signs(provider, token));
        Check.that("a session key is no change of the file",
                KeyPairGenerator.getInstance("EC", provider).generateKeyPair() != null);
        Check.refused("no key goes", KeyStoreException.class, "token write-protected", () -> {
            token.deleteEntry("alice-ec");
            return null;
        });
        Check.that("it is there", token.isKeyEntry("alice-ec"));
        Check.ok("a store that cannot be written: keys sign, changes are told: token write-protected");
    }
}
