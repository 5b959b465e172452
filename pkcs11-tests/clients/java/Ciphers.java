import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Provider;
import java.security.spec.AlgorithmParameterSpec;
import java.util.Arrays;
import javax.crypto.AEADBadTagException;
import javax.crypto.BadPaddingException;
import javax.crypto.Cipher;
import javax.crypto.IllegalBlockSizeException;
import javax.crypto.KeyGenerator;
import javax.crypto.SecretKey;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/** Ciphers of the token beside Java's own, with one key in both. */
public final class Ciphers {
    private static Provider provider;
    private static final int[] LENGTHS = {0, 1, 15, 16, 17, 1000, 8191, 100_000};

    public static void main(String[] arguments) throws Exception {
        provider = Check.provider(arguments[0]);
        Check.store(provider, arguments[1]);
        for (int bits : new int[] {128, 192, 256}) {
            byte[] raw = Check.random(bits / 8);
            gcm(raw);
            for (String mode : new String[] {"CBC/PKCS5Padding", "CBC/NoPadding", "CTR/NoPadding", "ECB/PKCS5Padding",
                    "ECB/NoPadding"}) {
                mode("AES/" + mode, raw);
            }
        }
        Check.ok("Cipher AES: GCM with and without AAD, CBC, CTR, ECB; 128, 192, 256 bits");
        gcmMisuse();
        sensitiveKey();
        KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA", provider);
        generator.initialize(2048);
        KeyPair pair = generator.generateKeyPair();
        rsa(pair);
        Oaep.check(provider, pair);
    }

    private static AlgorithmParameterSpec iv(String transformation) {
        return transformation.contains("ECB") ? null : new IvParameterSpec(Check.random(16));
    }

    /**
     * In one call, or in parts of odd lengths. Nothing at all goes in one call: SunPKCS11 of Java 17 crashes in
     * doFinal(out, 0) of an AES/GCM that got no data (it reads the array that is not there).
     */
    private static byte[] run(Cipher cipher, byte[] data, boolean parts) throws Exception {
        if (!parts || data.length == 0) {
            return cipher.doFinal(data);
        }
        byte[] out = new byte[cipher.getOutputSize(data.length) + 64];
        int written = 0;
        for (int from = 0; from < data.length; from += 777) {
            written += cipher.update(data, from, Math.min(777, data.length - from), out, written);
        }
        written += cipher.doFinal(out, written);
        return Arrays.copyOf(out, written);
    }

    private static void mode(String transformation, byte[] raw) throws Exception {
        Cipher here = Cipher.getInstance(transformation, provider);
        Cipher java = Cipher.getInstance(transformation, "SunJCE");
        SecretKeySpec key = new SecretKeySpec(raw, "AES");
        for (int length : LENGTHS) {
            boolean blocks = transformation.contains("NoPadding") && !transformation.contains("CTR");
            byte[] data = Check.random(blocks ? length / 16 * 16 : length);
            AlgorithmParameterSpec iv = iv(transformation);
            for (boolean parts : new boolean[] {false, true}) {
                String what = transformation + " " + data.length + (parts ? " in parts" : "");
                here.init(Cipher.ENCRYPT_MODE, key, iv);
                java.init(Cipher.ENCRYPT_MODE, key, iv);
                byte[] sealed = run(here, data, parts);
                Check.same(what, sealed, java.doFinal(data));
                here.init(Cipher.DECRYPT_MODE, key, iv);
                Check.same(what + " back", data, run(here, sealed, parts));
            }
        }
        if (transformation.equals("AES/CBC/PKCS5Padding")) {
            here.init(Cipher.DECRYPT_MODE, key, iv(transformation));
            Check.refused("half a block", IllegalBlockSizeException.class, "", () -> here.doFinal(new byte[17]));
        }
    }

    private static void gcm(byte[] raw) throws Exception {
        Cipher here = Cipher.getInstance("AES/GCM/NoPadding", provider);
        Cipher java = Cipher.getInstance("AES/GCM/NoPadding", "SunJCE");
        SecretKeySpec key = new SecretKeySpec(raw, "AES");
        for (int length : LENGTHS) {
            for (int tag : new int[] {128, 120, 112, 104, 96}) {
                byte[] data = Check.random(length);
                byte[] aad = Check.random(tag == 128 ? 0 : 2 * tag);
                // Java never takes a nonce twice under one key, so each direction has its own init.
                GCMParameterSpec nonce = new GCMParameterSpec(tag, Check.random(12));
                here.init(Cipher.ENCRYPT_MODE, key, nonce);
                here.updateAAD(aad);
                byte[] sealed = run(here, data, tag == 112);
                java.init(Cipher.DECRYPT_MODE, key, nonce);
                java.updateAAD(aad);
                Check.same("Java opens what the token sealed, " + length, data, java.doFinal(sealed));
                here.init(Cipher.DECRYPT_MODE, key, nonce);
                here.updateAAD(aad);
                Check.same("the token opens it, " + length, data, run(here, sealed, tag == 104));
            }
        }
    }

    private static void gcmMisuse() throws Exception {
        KeyGenerator generator = KeyGenerator.getInstance("AES", provider);
        generator.init(256);
        SecretKey key = generator.generateKey();
        Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding", provider);
        GCMParameterSpec nonce = new GCMParameterSpec(128, Check.random(12));
        cipher.init(Cipher.ENCRYPT_MODE, key, nonce);
        cipher.updateAAD("header".getBytes());
        byte[] sealed = cipher.doFinal(new byte[100]);
        Check.refused("a changed byte", AEADBadTagException.class, "", () -> {
            byte[] changed = sealed.clone();
            changed[50] ^= 1;
            cipher.init(Cipher.DECRYPT_MODE, key, nonce);
            cipher.updateAAD("header".getBytes());
            return cipher.doFinal(changed);
        });
        Check.refused("another header", AEADBadTagException.class, "", () -> {
            cipher.init(Cipher.DECRYPT_MODE, key, nonce);
            cipher.updateAAD("Header".getBytes());
            return cipher.doFinal(sealed);
        });
        Check.refused("shorter than a tag", IllegalBlockSizeException.class, "CKR_ENCRYPTED_DATA_LEN_RANGE", () -> {
            cipher.init(Cipher.DECRYPT_MODE, key, nonce);
            return cipher.doFinal(new byte[5]);
        });
        cipher.init(Cipher.DECRYPT_MODE, key, nonce);
        cipher.updateAAD("header".getBytes());
        Check.same("usable again", new byte[100], cipher.doFinal(sealed));
        Check.ok("Cipher AES/GCM: a changed byte, another header, half a tag are refused");
    }

    private static void sensitiveKey() throws Exception {
        KeyGenerator generator = KeyGenerator.getInstance("AES", provider);
        generator.init(256);
        SecretKey key = generator.generateKey();
        Check.that("its value stays in the token", key.getEncoded() == null && key.getFormat() == null);
        Cipher java = Cipher.getInstance("AES/CBC/PKCS5Padding", "SunJCE");
        Check.refused("Java's own cipher", java.security.InvalidKeyException.class, "",
                () -> {
                    java.init(Cipher.ENCRYPT_MODE, key);
                    return null;
                });
        Check.ok("Cipher: the configuration's CKA_SENSITIVE keeps a key's bytes from Java");
    }

    private static void rsa(KeyPair pair) throws Exception {
        Cipher here = Cipher.getInstance("RSA/ECB/PKCS1Padding", provider);
        byte[] data = Check.random(200);
        here.init(Cipher.ENCRYPT_MODE, pair.getPublic());
        byte[] sealed = here.doFinal(data);
        here.init(Cipher.DECRYPT_MODE, pair.getPrivate());
        Check.same("PKCS#1", data, here.doFinal(sealed));
        Cipher java = Cipher.getInstance("RSA/ECB/PKCS1Padding", "SunJCE");
        java.init(Cipher.ENCRYPT_MODE, pair.getPublic());
        Check.same("PKCS#1 by Java", data, here.doFinal(java.doFinal(data)));
        // Decrypting rubbish gives rubbish, not an answer to learn from (implicit rejection).
        byte[] rubbish = Check.random(256);
        rubbish[0] = 0;
        Check.that("rubbish", !Arrays.equals(data, here.doFinal(rubbish)));
        Check.refused("a short one", BadPaddingException.class, "", () -> here.doFinal(new byte[100]));
        Check.same("usable again", data, here.doFinal(sealed));
        Check.ok("Cipher RSA/ECB/PKCS1Padding: encrypt, decrypt; rubbish tells nothing");
    }
}
