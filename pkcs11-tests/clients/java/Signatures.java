import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.PublicKey;
import java.security.Security;
import java.security.Signature;
import java.security.SignatureException;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PSSParameterSpec;
import java.util.Map;
import java.util.TreeMap;
import javax.crypto.BadPaddingException;
import javax.crypto.Cipher;

/** Every signature that SunPKCS11 offers here, made by the token and verified by Java, and the other way round. */
public final class Signatures {
    private static Provider provider;
    /** Keys of Java's own. */
    private static final Map<String, KeyPair> software = new TreeMap<>();

    public static void main(String[] arguments) throws Exception {
        provider = Check.provider(arguments[0]);
        KeyStore token = Check.store(provider, arguments[1]);
        Check.that("logged in", token != null);
        Map<String, KeyPair> pairs = new TreeMap<>();
        for (String kind : new String[] {"RSA", "secp256r1", "secp384r1", "secp521r1"}) {
            pairs.put(kind, pair(kind, provider));
            software.put(kind, pair(kind, Security.getProvider(kind.equals("RSA") ? "SunRsaSign" : "SunEC")));
        }
        int kinds = 0;
        for (Provider.Service service : provider.getServices()) {
            String name = service.getAlgorithm();
            if (!service.getType().equals("Signature")) {
                continue;
            }
            kinds++;
            if (name.startsWith("SHA3-") && name.endsWith("PSS")) {
                javaCannot(name, pairs.get("RSA"));
            } else {
                every(name, pairs);
            }
        }
        Check.that("most of what Java knows: " + kinds, kinds >= 30);
        wanted();
        Check.ok("Signature: all " + kinds + " algorithms that SunPKCS11 offers, both ways");
        pssParameters(pairs.get("RSA"));
        recovery(pairs.get("RSA"));
        misuse(pairs.get("RSA"));
        edwards();
    }

    private static KeyPair pair(String kind, Provider maker) throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance(kind.equals("RSA") ? "RSA" : "EC", maker);
        if (kind.equals("RSA")) {
            generator.initialize(2048);
        } else {
            generator.initialize(new ECGenParameterSpec(kind));
        }
        return generator.generateKeyPair();
    }

    /** Those that people ask for by name must be among them. */
    private static void wanted() throws Exception {
        for (String name : new String[] {"SHA1withRSA", "SHA256withRSA", "SHA384withRSA", "SHA512withRSA",
                "RSASSA-PSS", "SHA256withRSASSA-PSS", "SHA256withECDSA", "SHA384withECDSA", "SHA512withECDSA",
                "NONEwithECDSA", "SHA256withECDSAinP1363Format", "SHA3-256withECDSA"}) {
            Check.that(name + " is offered", provider.getService("Signature", name) != null);
        }
    }

    private static void every(String algorithm, Map<String, KeyPair> pairs) throws Exception {
        for (Map.Entry<String, KeyPair> pair : pairs.entrySet()) {
            boolean rsa = pair.getKey().equals("RSA");
            if (rsa == algorithm.contains("RSA")) {
                bothWays(algorithm, pair.getKey(), pair.getValue());
            }
        }
    }

    /** SunPKCS11 of Java 17 offers SHA-3 with PSS and cannot hand the parameters to any module. */
    private static void javaCannot(String algorithm, KeyPair pair) {
        Check.refused(algorithm + " works now: test it like the others", RuntimeException.class,
                "Java object of this class cannot be converted to native PKCS#11 type",
                () -> sign(Signature.getInstance(algorithm, provider), pair.getPrivate(), new byte[100]));
    }

    private static Signature of(String algorithm, Provider provider) throws Exception {
        Signature signature = Signature.getInstance(algorithm, provider);
        if (algorithm.equals("RSASSA-PSS")) {
            signature.setParameter(new PSSParameterSpec("SHA-256", "MGF1", MGF1ParameterSpec.SHA256, 32, 1));
        }
        return signature;
    }

    /** Java's own provider of an algorithm; names such as SHA256withRSASSA-PSS are RSASSA-PSS there. */
    private static Signature javas(String algorithm) throws Exception {
        if (algorithm.endsWith("withRSASSA-PSS")) {
            String hash = algorithm.substring(0, algorithm.indexOf("with"));
            String digest = hash.startsWith("SHA3-") ? hash : hash.replace("SHA", "SHA-");
            int length = Integer.parseInt(digest.substring(digest.lastIndexOf('-') + 1));
            length = length == 1 ? 20 : length / 8;
            Signature signature = Signature.getInstance("RSASSA-PSS", "SunRsaSign");
            signature.setParameter(
                    new PSSParameterSpec(digest, "MGF1", new MGF1ParameterSpec(digest), length, 1));
            return signature;
        }
        if (algorithm.equals("NONEwithRSA")) {
            return of(algorithm, Security.getProvider("SunJCE"));
        }
        return of(algorithm, Security.getProvider(algorithm.contains("RSA") ? "SunRsaSign" : "SunEC"));
    }

    private static void bothWays(String algorithm, String key, KeyPair pair) throws Exception {
        String what = algorithm + " " + key;
        // NONEwith… takes a digest.
        byte[] data = Check.random(algorithm.startsWith("NONE") ? 32 : 5000);
        byte[] signature = sign(of(algorithm, provider), pair.getPrivate(), data);
        Check.that(what + ": the token verifies", verify(of(algorithm, provider), pair.getPublic(), data, signature));
        Check.that(what + ": Java verifies", verify(javas(algorithm), software(pair.getPublic()), data, signature));
        data[data.length / 2] ^= 1;
        Check.that(what + ": not another text",
                !verify(of(algorithm, provider), pair.getPublic(), data, signature));
        KeyPair javas = software.get(key);
        signature = sign(javas(algorithm), javas.getPrivate(), data);
        Check.that(what + ": the token verifies Java's",
                verify(of(algorithm, provider), javas.getPublic(), data, signature));
    }

    /** The public key as Java's own class, so that Java's own code works with it. */
    private static PublicKey software(PublicKey key) throws Exception {
        String owner = key.getAlgorithm().equals("RSA") ? "SunRsaSign" : "SunEC";
        return java.security.KeyFactory.getInstance(key.getAlgorithm(), owner)
                .generatePublic(new java.security.spec.X509EncodedKeySpec(key.getEncoded()));
    }

    private static byte[] sign(Signature signature, PrivateKey key, byte[] data) throws Exception {
        signature.initSign(key);
        signature.update(data, 0, 10);
        signature.update(data, 10, data.length - 10);
        return signature.sign();
    }

    private static boolean verify(Signature signature, PublicKey key, byte[] data, byte[] bytes) throws Exception {
        signature.initVerify(key);
        signature.update(data);
        return signature.verify(bytes);
    }

    /** Salt lengths and hashes that differ from the usual ones. */
    private static void pssParameters(KeyPair pair) throws Exception {
        byte[] data = Check.random(100);
        Object[][] cases = {{"SHA-1", MGF1ParameterSpec.SHA1, 20}, {"SHA-256", MGF1ParameterSpec.SHA1, 20},
            {"SHA-384", MGF1ParameterSpec.SHA384, 0}, {"SHA-512", MGF1ParameterSpec.SHA512, 64},
            {"SHA-512", MGF1ParameterSpec.SHA256, 100}};
        for (Object[] one : cases) {
            PSSParameterSpec spec =
                    new PSSParameterSpec((String) one[0], "MGF1", (MGF1ParameterSpec) one[1], (int) one[2], 1);
            Signature signer = Signature.getInstance("RSASSA-PSS", provider);
            signer.setParameter(spec);
            Signature verifier = Signature.getInstance("RSASSA-PSS", "SunRsaSign");
            verifier.setParameter(spec);
            byte[] signature = sign(signer, pair.getPrivate(), data);
            Check.that(spec.toString(), verify(verifier, software(pair.getPublic()), data, signature));
        }
        Check.ok("RSASSA-PSS: hash, MGF1 and salt chosen apart");
    }

    /** Data signed with a private key and read back with a public one, as old protocols do it: a Cipher. */
    private static void recovery(KeyPair pair) throws Exception {
        String transformation = "RSA/ECB/PKCS1Padding";
        Cipher token = Cipher.getInstance(transformation, provider);
        Cipher java = Cipher.getInstance(transformation, "SunJCE");
        KeyPair javas = software.get("RSA");
        for (int length : new int[] {1, 51, 245}) {
            byte[] data = Check.random(length);
            token.init(Cipher.ENCRYPT_MODE, pair.getPrivate());
            java.init(Cipher.ENCRYPT_MODE, javas.getPrivate());
            byte[] signature = token.doFinal(data);
            byte[][] signatures = {signature, java.doFinal(data)};
            java.init(Cipher.DECRYPT_MODE, software(pair.getPublic()));
            Check.same("Java reads " + length + " bytes", data, java.doFinal(signature));
            PublicKey[] keys = {pair.getPublic(), javas.getPublic()};
            for (int signer = 0; signer < keys.length; signer++) {
                token.init(Cipher.DECRYPT_MODE, keys[signer]);
                Check.same("the token reads " + length + " bytes", data, token.doFinal(signatures[signer]));
                // Into an array that is as long as the data, and not as the longest data.
                byte[] exact = new byte[length];
                token.doFinal(signatures[signer], 0, signature.length, exact);
                Check.same("and in no more room", data, exact);
            }
            Check.refused("another's signature", BadPaddingException.class, "CKR_SIGNATURE_INVALID",
                    () -> token.doFinal(signature));
            Check.refused("a short one", BadPaddingException.class, "CKR_SIGNATURE_LEN_RANGE",
                    () -> token.doFinal(signature, 0, 100));
            token.init(Cipher.DECRYPT_MODE, pair.getPublic());
            Check.same("usable again", data, token.doFinal(signature));
        }
        Check.ok("Cipher with a public key: what the token or Java signed is read back");
    }

    private static void misuse(KeyPair pair) throws Exception {
        Signature signature = Signature.getInstance("SHA256withRSA", provider);
        signature.initVerify(pair.getPublic());
        signature.update(new byte[5]);
        try {
            Check.that("a short signature is no good one", !signature.verify(new byte[10]));
        } catch (SignatureException refused) {
            Check.that("it says why: " + refused, refused.getMessage() != null);
        }
        Check.refused("not initialised", SignatureException.class, "not",
                () -> Signature.getInstance("SHA256withRSA", provider).sign());
        // The object is of use afterwards.
        byte[] data = Check.random(50);
        byte[] good = sign(signature, pair.getPrivate(), data);
        Check.that("usable again", verify(signature, pair.getPublic(), data, good));
        Check.ok("Signature: misuse gets Java's own exceptions, the object works on");
    }

    /** SunPKCS11 of Java 17 knows no EdDSA, whatever the module offers: its table of mechanisms has none. */
    private static void edwards() {
        Check.that("SunPKCS11 offers EdDSA now: test it here",
                provider.getService("Signature", "EdDSA") == null
                        && provider.getService("Signature", "Ed25519") == null);
        Check.ok("EdDSA: SunPKCS11 of Java " + Runtime.version().feature() + " has none; nothing pretends");
    }
}
