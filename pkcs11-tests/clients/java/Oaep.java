import java.nio.ByteBuffer;
import java.security.KeyPair;
import java.security.MessageDigest;
import java.security.Provider;
import java.security.spec.MGF1ParameterSpec;
import java.util.Arrays;
import javax.crypto.BadPaddingException;
import javax.crypto.Cipher;
import javax.crypto.NoSuchPaddingException;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;

/**
 * RSA-OAEP with a key of the token. SunPKCS11 of Java 17 has no OAEP, and Java's own does not take keys of a
 * token: the token does the private operation (RSA/ECB/NoPadding), and the padding is opened here (RFC 8017 §7.1.2).
 */
final class Oaep {
    private Oaep() {}

    static void check(Provider provider, KeyPair pair) throws Exception {
        String name = "RSA/ECB/OAEPWithSHA-256AndMGF1Padding";
        Check.refused("SunPKCS11 offers OAEP now: use it here", NoSuchPaddingException.class, "",
                () -> Cipher.getInstance(name, provider));
        OAEPParameterSpec spec = new OAEPParameterSpec("SHA-256", "MGF1", MGF1ParameterSpec.SHA256,
                new PSource.PSpecified("label".getBytes()));
        Cipher java = Cipher.getInstance(name, "SunJCE");
        Check.refused("Java's own OAEP with a token's key", java.security.InvalidKeyException.class, "", () -> {
            java.init(Cipher.DECRYPT_MODE, pair.getPrivate(), spec);
            return null;
        });
        for (int length : new int[] {0, 1, 100, 190}) {
            byte[] data = Check.random(length);
            java.init(Cipher.ENCRYPT_MODE, pair.getPublic(), spec);
            byte[] sealed = java.doFinal(data);
            Cipher token = Cipher.getInstance("RSA/ECB/NoPadding", provider);
            token.init(Cipher.DECRYPT_MODE, pair.getPrivate());
            byte[] block = token.doFinal(sealed);
            Check.same("OAEP " + length, data, open(block, 256, "label".getBytes()));
            Check.refused("another label", BadPaddingException.class, "decryption error",
                    () -> open(block, 256, "Label".getBytes()));
        }
        Check.ok("RSA-OAEP: SunPKCS11 has none; raw RSA in the token, the padding in Java");
    }

    /** The message in a block that the token opened; one error for all faults, none to be told apart by time. */
    private static byte[] open(byte[] opened, int size, byte[] label) throws Exception {
        MessageDigest hash = MessageDigest.getInstance("SHA-256", "SUN");
        int length = hash.getDigestLength();
        byte[] block = new byte[size];
        System.arraycopy(opened, 0, block, size - opened.length, opened.length);
        byte[] seed = Arrays.copyOfRange(block, 1, 1 + length);
        byte[] data = Arrays.copyOfRange(block, 1 + length, size);
        mask(hash, data, seed);
        mask(hash, seed, data);
        byte[] wanted = hash.digest(label);
        int bad = block[0];
        for (int place = 0; place < length; place++) {
            bad |= wanted[place] ^ data[place];
        }
        // After the label's hash: zeros, a one, the message.
        int start = 0;
        int looking = 1;
        for (int place = length; place < data.length; place++) {
            int one = (((data[place] & 0xff) ^ 1) - 1) >>> 31;
            int zero = ((data[place] & 0xff) - 1) >>> 31;
            start |= (place + 1) & -(looking & one);
            bad |= looking & (1 - one) & (1 - zero);
            looking &= 1 - one;
        }
        if ((bad | looking) != 0) {
            throw new BadPaddingException("decryption error");
        }
        return Arrays.copyOfRange(data, start, data.length);
    }

    /** MGF1 over a seed, XORed over the target. */
    private static void mask(MessageDigest hash, byte[] seed, byte[] target) {
        for (int from = 0, counter = 0; from < target.length; counter++) {
            hash.update(seed);
            byte[] block = hash.digest(ByteBuffer.allocate(4).putInt(counter).array());
            for (int place = 0; place < block.length && from < target.length; place++, from++) {
                target[from] ^= block[place];
            }
        }
    }
}
