import java.security.MessageDigest;
import java.security.Provider;

/** Every digest that SunPKCS11 offers, beside Java's own, and its clones: Digests CONFIG PIN. */
public final class Digests {
    private static Provider provider;

    public static void main(String[] arguments) throws Exception {
        provider = Check.provider(arguments[0]);
        Check.store(provider, arguments[1]);
        int kinds = 0;
        for (Provider.Service service : provider.getServices()) {
            if (service.getType().equals("MessageDigest")) {
                digest(service.getAlgorithm());
                clones(service.getAlgorithm());
                kinds++;
            }
        }
        Check.that("SHA-1, SHA-2 and SHA-3: " + kinds, kinds >= 11);
        Check.ok("MessageDigest: all " + kinds + " that SunPKCS11 offers, the same as Java's own");
        Check.ok("MessageDigest.clone: in the middle of a block and between blocks, each goes on alone");
        manyClones();
    }

    private static void digest(String name) throws Exception {
        MessageDigest here = MessageDigest.getInstance(name, provider);
        MessageDigest java = MessageDigest.getInstance(name, "SUN");
        Check.that("length of " + name, here.getDigestLength() == java.getDigestLength());
        for (int length : new int[] {0, 1, 55, 56, 64, 111, 112, 128, 136, 10_000}) {
            byte[] data = Check.random(length);
            here.update(data, 0, length / 3);
            here.reset();
            here.update(data, 0, length / 2);
            here.update(data, length / 2, length - length / 2);
            Check.same(name + " of " + length, here.digest(), java.digest(data));
        }
    }

    private static void clones(String name) throws Exception {
        for (int cut : new int[] {0, 1, 64, 100, 128, 136, 500, 512, 513, 5000}) {
            byte[] data = Check.random(cut);
            MessageDigest one = MessageDigest.getInstance(name, provider);
            one.update(data);
            MessageDigest two = (MessageDigest) one.clone();
            one.update("this way".getBytes());
            two.update("that way".getBytes());
            MessageDigest java = MessageDigest.getInstance(name, "SUN");
            java.update(data);
            Check.same(name + " first at " + cut, one.digest(), java.digest("this way".getBytes()));
            java.update(data);
            Check.same(name + " clone at " + cut, two.digest(), java.digest("that way".getBytes()));
        }
    }

    /** As a TLS handshake does it: a digest of all so far after each message. */
    private static void manyClones() throws Exception {
        MessageDigest running = MessageDigest.getInstance("SHA-256", provider);
        MessageDigest java = MessageDigest.getInstance("SHA-256", "SUN");
        for (int message = 0; message < 500; message++) {
            byte[] data = Check.random(700);
            running.update(data);
            java.update(data);
            Check.same("after message " + message, ((MessageDigest) running.clone()).digest(),
                    ((MessageDigest) java.clone()).digest());
        }
        Check.same("at the end", running.digest(), java.digest());
        Check.ok("MessageDigest.clone: 500 clones of one running digest");
    }
}
