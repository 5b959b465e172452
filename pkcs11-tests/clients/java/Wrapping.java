import java.security.InvalidKeyException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Provider;
import javax.crypto.Cipher;
import javax.crypto.SecretKey;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * Cipher.wrap and unwrap with RSA: Wrapping CONFIG PIN WRAPPING-CONFIG. Whether a pair may wrap is said when it is
 * made, in the configuration; both configurations are in use at once, over one token and one login.
 */
public final class Wrapping {
    public static void main(String[] arguments) throws Exception {
        Provider strict = Check.provider(arguments[0]);
        Check.store(strict, arguments[1]);
        Provider wrapping = Check.provider(arguments[2]);
        Check.store(wrapping, arguments[1]);
        SecretKeySpec secret = new SecretKeySpec(Check.random(32), "AES");

        KeyPair plain = pair(strict);
        Check.refused("a pair that may not wrap", InvalidKeyException.class, "CKR_KEY_", () -> {
            Cipher wrapper = Cipher.getInstance("RSA/ECB/PKCS1Padding", strict);
            wrapper.init(Cipher.WRAP_MODE, plain.getPublic());
            return wrapper.wrap(secret);
        });

        KeyPair pair = pair(wrapping);
        Cipher wrapper = Cipher.getInstance("RSA/ECB/PKCS1Padding", wrapping);
        wrapper.init(Cipher.WRAP_MODE, pair.getPublic());
        byte[] wrapped = wrapper.wrap(secret);
        wrapper.init(Cipher.UNWRAP_MODE, pair.getPrivate());
        SecretKey unwrapped = (SecretKey) wrapper.unwrap(wrapped, "AES", Cipher.SECRET_KEY);
        byte[] iv = Check.random(16);
        byte[] data = Check.random(1000);
        Cipher token = Cipher.getInstance("AES/CBC/PKCS5Padding", wrapping);
        token.init(Cipher.ENCRYPT_MODE, unwrapped, new IvParameterSpec(iv));
        Cipher java = Cipher.getInstance("AES/CBC/PKCS5Padding", "SunJCE");
        java.init(Cipher.DECRYPT_MODE, secret, new IvParameterSpec(iv));
        Check.same("the same key", data, java.doFinal(token.doFinal(data)));
        Check.ok("Cipher.wrap and unwrap: RSA pairs made for it only; two configurations at once");
    }

    private static KeyPair pair(Provider provider) throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA", provider);
        generator.initialize(2048);
        return generator.generateKeyPair();
    }
}
