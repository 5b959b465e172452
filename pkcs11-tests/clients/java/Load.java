import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.Signature;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import javax.crypto.Cipher;
import javax.crypto.KeyGenerator;
import javax.crypto.SecretKey;
import javax.crypto.spec.GCMParameterSpec;

/** Many threads with the same keys, each result checked: Load CONFIG PIN THREADS SECONDS. */
public final class Load {
    private static final LongAdder signatures = new LongAdder();
    private static final LongAdder encryptions = new LongAdder();
    private static Provider provider;

    public static void main(String[] arguments) throws Exception {
        provider = Check.provider(arguments[0]);
        KeyStore token = Check.store(provider, arguments[1]);
        int threads = Integer.parseInt(arguments[2]);
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(Long.parseLong(arguments[3]));
        KeyGenerator generator = KeyGenerator.getInstance("AES", provider);
        generator.init(256);
        SecretKey aes = generator.generateKey();
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        List<Future<?>> running = new ArrayList<>();
        for (int number = 0; number < threads; number++) {
            String alias = number % 2 == 0 ? "alice-ec" : "alice-rsa";
            Callable<Void> work = number % 4 < 2 ? () -> sign(token, alias, end) : () -> encrypt(aes, end);
            running.add(pool.submit(work));
        }
        for (Future<?> one : running) {
            one.get();
        }
        pool.shutdown();
        Check.that("work was done", signatures.sum() > 100 && encryptions.sum() > 100);
        Check.ok(threads + " threads, " + arguments[3] + " s: " + signatures.sum() + " signatures, "
                + encryptions.sum() + " encryptions, every one right");
    }

    private static Void sign(KeyStore token, String alias, long end) throws Exception {
        PrivateKey key = (PrivateKey) token.getKey(alias, null);
        boolean rsa = key.getAlgorithm().equals("RSA");
        String algorithm = rsa ? "SHA256withRSA" : "SHA256withECDSA";
        Signature verifier = Signature.getInstance(algorithm, rsa ? "SunRsaSign" : "SunEC");
        verifier.initVerify(token.getCertificate(alias));
        while (System.nanoTime() < end) {
            byte[] data = Check.random(500);
            Signature signer = Signature.getInstance(algorithm, provider);
            signer.initSign(key);
            signer.update(data);
            byte[] signature = signer.sign();
            verifier.update(data);
            Check.that("a signature is wrong", verifier.verify(signature));
            signatures.increment();
        }
        return null;
    }

    private static Void encrypt(SecretKey key, long end) throws Exception {
        while (System.nanoTime() < end) {
            byte[] data = Check.random(2000);
            GCMParameterSpec nonce = new GCMParameterSpec(128, Check.random(12));
            Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding", provider);
            cipher.init(Cipher.ENCRYPT_MODE, key, nonce);
            byte[] sealed = cipher.doFinal(data);
            cipher.init(Cipher.DECRYPT_MODE, key, nonce);
            Check.that("a decryption is wrong", Arrays.equals(data, cipher.doFinal(sealed)));
            encryptions.increment();
        }
        return null;
    }
}
