import java.security.InvalidParameterException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Provider;
import java.security.ProviderException;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Security;
import java.security.interfaces.ECPublicKey;
import java.security.interfaces.RSAPublicKey;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.RSAKeyGenParameterSpec;
import java.util.Arrays;
import javax.crypto.Cipher;
import javax.crypto.KeyAgreement;
import javax.crypto.KeyGenerator;
import javax.crypto.Mac;
import javax.crypto.SecretKey;
import javax.crypto.spec.SecretKeySpec;

/** Mac, KeyGenerator, KeyPairGenerator, KeyAgreement, SecureRandom: Secrets CONFIG PIN. */
public final class Secrets {
    private static Provider provider;

    public static void main(String[] arguments) throws Exception {
        provider = Check.provider(arguments[0]);
        Check.store(provider, arguments[1]);
        macs();
        keyGenerators();
        rsaPairs();
        ecPairs();
        agreement();
        random();
    }

    /** Every MAC that SunPKCS11 offers, beside Java's own. */
    private static void macs() throws Exception {
        int kinds = 0;
        for (Provider.Service service : provider.getServices()) {
            String name = service.getAlgorithm();
            if (!service.getType().equals("Mac")) {
                continue;
            }
            Mac here = Mac.getInstance(name, provider);
            Mac java = Mac.getInstance(name, "SunJCE");
            for (int size : new int[] {20, 32, 64, 200}) {
                SecretKeySpec key = new SecretKeySpec(Check.random(size), name);
                byte[] data = Check.random(1000);
                here.init(key);
                java.init(key);
                here.update(data, 0, 333);
                here.reset();
                here.update(data, 0, 500);
                here.update(data, 500, 500);
                Check.same(name, here.doFinal(), java.doFinal(data));
                Check.same(name + " again, of nothing", here.doFinal(), java.doFinal());
            }
            kinds++;
        }
        for (String name : new String[] {"HmacSHA1", "HmacSHA224", "HmacSHA256", "HmacSHA384", "HmacSHA512"}) {
            Check.that(name + " is offered", provider.getService("Mac", name) != null);
        }
        Check.ok("Mac: all " + kinds + " that SunPKCS11 offers, the same as Java's own");
    }

    private static void keyGenerators() throws Exception {
        for (int bits : new int[] {128, 192, 256}) {
            KeyGenerator generator = KeyGenerator.getInstance("AES", provider);
            generator.init(bits);
            SecretKey key = generator.generateKey();
            Cipher cipher = Cipher.getInstance("AES/ECB/NoPadding", provider);
            cipher.init(Cipher.ENCRYPT_MODE, key);
            byte[] sealed = cipher.doFinal(new byte[16]);
            Check.that("something happened", !Arrays.equals(sealed, new byte[16]));
        }
        for (String name : new String[] {"HmacSHA1", "HmacSHA224", "HmacSHA256", "HmacSHA384", "HmacSHA512"}) {
            SecretKey key = KeyGenerator.getInstance(name, provider).generateKey();
            Mac mac = Mac.getInstance(name, provider);
            mac.init(key);
            byte[] one = mac.doFinal(new byte[100]);
            Check.same(name + " key", one, mac.doFinal(new byte[100]));
        }
        Check.refused("AES of 100 bits", InvalidParameterException.class, "", () -> {
            KeyGenerator.getInstance("AES", provider).init(100);
            return null;
        });
        Check.ok("KeyGenerator: AES of 128, 192, 256 bits; HMAC keys");
    }

    private static void rsaPairs() throws Exception {
        for (int bits : new int[] {2048, 3072}) {
            KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA", provider);
            generator.initialize(new RSAKeyGenParameterSpec(bits, RSAKeyGenParameterSpec.F4));
            KeyPair pair = generator.generateKeyPair();
            RSAPublicKey key = (RSAPublicKey) pair.getPublic();
            Check.that("size", key.getModulus().bitLength() == bits);
            Check.that("exponent", key.getPublicExponent().equals(RSAKeyGenParameterSpec.F4));
            Check.that("the private half stays in the token", pair.getPrivate().getEncoded() == null);
        }
        Check.refused("RSA of 512 bits", InvalidParameterException.class, "", () -> {
            KeyPairGenerator.getInstance("RSA", provider).initialize(512);
            return null;
        });
        Check.ok("KeyPairGenerator RSA: 2048, 3072; 512 is refused");
    }

    private static KeyPair ecPair(String curve, Provider maker) throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC", maker);
        generator.initialize(new ECGenParameterSpec(curve));
        return generator.generateKeyPair();
    }

    private static void ecPairs() throws Exception {
        for (String curve : new String[] {"secp256r1", "secp384r1", "secp521r1"}) {
            ECPublicKey key = (ECPublicKey) ecPair(curve, provider).getPublic();
            int bits = Integer.parseInt(curve.substring(4, 7));
            Check.that("field", key.getParams().getCurve().getField().getFieldSize() == bits);
        }
        Check.refused("a curve that is not here", ProviderException.class, "CKR_CURVE_NOT_SUPPORTED",
                () -> ecPair("sect283r1", provider));
        Check.ok("KeyPairGenerator EC: P-256, P-384, P-521; an unknown curve is refused");
    }

    /** The two ends agree, whoever holds their keys. */
    private static void agreement() throws Exception {
        Provider java = Security.getProvider("SunEC");
        for (String curve : new String[] {"secp256r1", "secp384r1", "secp521r1"}) {
            KeyPair one = ecPair(curve, provider);
            KeyPair two = ecPair(curve, provider);
            KeyPair software = ecPair(curve, java);
            byte[] there = agree(provider, one, two.getPublic());
            Check.same(curve + ": token and token", there, agree(provider, two, one.getPublic()));
            byte[] mixed = agree(provider, one, software.getPublic());
            Check.same(curve + ": token and Java", mixed, agree(java, software, one.getPublic()));
            Check.that("not one for all", !Arrays.equals(there, mixed));

            KeyAgreement agreement = KeyAgreement.getInstance("ECDH", provider);
            agreement.init(one.getPrivate());
            agreement.doPhase(two.getPublic(), true);
            SecretKey premaster = agreement.generateSecret("TlsPremasterSecret");
            Check.that("a secret for TLS", premaster.getAlgorithm().equals("TlsPremasterSecret"));
        }
        Check.ok("KeyAgreement ECDH: P-256, P-384, P-521; token with token, token with Java");
    }

    private static byte[] agree(Provider maker, KeyPair mine, PublicKey theirs) throws Exception {
        KeyAgreement agreement = KeyAgreement.getInstance("ECDH", maker);
        agreement.init(mine.getPrivate());
        agreement.doPhase(theirs, true);
        return agreement.generateSecret();
    }

    private static void random() throws Exception {
        SecureRandom random = SecureRandom.getInstance("PKCS11", provider);
        random.setSeed(new byte[32]);
        byte[] one = new byte[100_000];
        byte[] two = new byte[100_000];
        random.nextBytes(one);
        random.nextBytes(two);
        Check.that("two draws differ", !Arrays.equals(one, two));
        int ones = 0;
        for (byte value : one) {
            ones += Integer.bitCount(value & 0xff);
        }
        // Six standard deviations of 800,000 fair coins are 2,683.
        Check.that("half of all bits: " + ones, Math.abs(ones - 400_000) < 2_700);
        random.nextBytes(new byte[0]);
        Check.ok("SecureRandom PKCS11: 200,000 bytes");
    }
}
