import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.security.KeyStore;
import java.security.Provider;
import java.security.Security;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.KeyStoreBuilderParameters;
import javax.net.ssl.SSLContext;

/** An HTTPS server with its key in the token: java Https.java strongroom.cfg PIN PORT. */
public final class Https {
    public static void main(String[] arguments) throws Exception {
        Provider provider = Security.getProvider("SunPKCS11").configure(arguments[0]);
        Security.addProvider(provider);
        // Of the token's keys, NewSunX509 takes one whose certificate is for servers.
        KeyManagerFactory keys = KeyManagerFactory.getInstance("NewSunX509");
        keys.init(new KeyStoreBuilderParameters(KeyStore.Builder.newInstance("PKCS11", provider,
                new KeyStore.PasswordProtection(arguments[1].toCharArray()))));
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), null, null);
        InetAddress here = InetAddress.getLoopbackAddress();
        HttpsServer server = HttpsServer.create(new InetSocketAddress(here, Integer.parseInt(arguments[2])), 50);
        server.setHttpsConfigurator(new HttpsConfigurator(context));
        server.createContext("/", exchange -> {
            byte[] answer = "hello\n".getBytes();
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
    }
}
