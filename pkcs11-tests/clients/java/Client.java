import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import java.security.Provider;
import java.security.Security;
import java.security.cert.X509Certificate;
import java.time.Duration;
import javax.crypto.KeyGenerator;
import javax.crypto.SecretKey;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;

/**
 * Opens pages of HTTPS servers with keys of the token as its own: Client CONFIG PIN TRUST.p12 STRANGERS.p12 PORT…
 * first with the token's provider after Java's own, then before them, where it does all it can.
 */
public final class Client {
    private static KeyStore token;
    private static String trust;
    private static SecretKey keeper;

    public static void main(String[] arguments) throws Exception {
        Provider provider = Check.provider(arguments[0]);
        token = Check.store(provider, arguments[1]);
        trust = arguments[2];
        everyWay(arguments, "after Java's own");
        strangers(arguments);
        // First of all, the provider makes digests too, and to reset one, Java 17 closes its session. With the
        // last session the login ends. A key that lives in a session keeps one open.
        keeper = KeyGenerator.getInstance("AES", provider).generateKey();
        Security.removeProvider(provider.getName());
        Security.insertProviderAt(provider, 1);
        everyWay(arguments, "first of all providers");
    }

    private static void everyWay(String[] arguments, String place) throws Exception {
        for (int server = 4; server < arguments.length; server++) {
            for (String protocol : new String[] {"TLSv1.3", "TLSv1.2"}) {
                for (String alias : new String[] {"alice-rsa", "alice-ec"}) {
                    HttpResponse<String> answer = get(arguments[server], Tls.context(token, alias, trust), protocol);
                    String said = answer.body();
                    Check.that(said, said.equals(protocol + " CN=" + alias + ",O=Example"));
                    X509Certificate shown =
                            (X509Certificate) answer.sslSession().orElseThrow().getPeerCertificates()[0];
                    Check.ok("HTTPS " + protocol + ", server " + shown.getSubjectX500Principal().getName().split(",")[0]
                            + ", client " + alias + ", provider " + place);
                }
            }
        }
    }

    /** A new client each time: a new handshake. */
    private static HttpResponse<String> get(String port, SSLContext context, String protocol) throws Exception {
        SSLParameters parameters = new SSLParameters();
        parameters.setProtocols(new String[] {protocol});
        HttpClient client = HttpClient.newBuilder().sslContext(context).sslParameters(parameters)
                .version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(60)).build();
        HttpRequest request = HttpRequest.newBuilder(URI.create("https://127.0.0.1:" + port + "/"))
                .timeout(Duration.ofSeconds(60)).build();
        return client.send(request, HttpResponse.BodyHandlers.ofString());
    }

    /** No certificate, and a server that is not of our CA: no page. */
    private static void strangers(String[] arguments) throws Exception {
        for (String protocol : new String[] {"TLSv1.3", "TLSv1.2"}) {
            Check.refused("without a certificate", IOException.class, "",
                    () -> get(arguments[4], Tls.context(token, null, trust), protocol));
            Check.refused("a server of another CA", IOException.class, "PKIX path",
                    () -> get(arguments[4], Tls.context(token, "alice-ec", arguments[3]), protocol));
        }
        Check.ok("HTTPS: a client without a certificate and a server of another CA are refused");
    }
}
