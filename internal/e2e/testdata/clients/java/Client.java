import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;

/** Connects once and exchanges one line: java Client plain|timeout|nio|http HOST PORT. */
public class Client {
    static final int TIMEOUT_MS = 60_000;

    public static void main(String[] args) {
        String how = args[0], host = args[1];
        int port = Integer.parseInt(args[2]);
        long began = System.nanoTime();
        try {
            String answer = switch (how) {
                case "plain" -> plain(host, port);
                case "timeout" -> timeout(host, port);
                case "nio" -> nio(host, port);
                case "http" -> http(host, port);
                default -> throw new IllegalArgumentException(how);
            };
            if (!answer.equals("pong\n")) throw new IllegalStateException("answer " + answer);
            System.out.printf("ok %d%n", (System.nanoTime() - began) / 1_000_000);
        } catch (Exception e) {
            System.out.printf("error %s after=%d%n", e, (System.nanoTime() - began) / 1_000_000);
            System.exit(1);
        }
    }

    static String plain(String host, int port) throws Exception {
        try (Socket socket = new Socket(host, port)) {
            return exchange(socket);
        }
    }

    static String timeout(String host, int port) throws Exception {
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress(host, port), TIMEOUT_MS);
            return exchange(socket);
        }
    }

    static String exchange(Socket socket) throws Exception {
        OutputStream out = socket.getOutputStream();
        out.write("ping\n".getBytes());
        InputStream in = socket.getInputStream();
        return new String(in.readNBytes(5));
    }

    static String nio(String host, int port) throws Exception {
        try (SocketChannel channel = SocketChannel.open(); Selector selector = Selector.open()) {
            channel.configureBlocking(false);
            SelectionKey key = channel.register(selector, SelectionKey.OP_CONNECT);
            if (!channel.connect(new InetSocketAddress(host, port))) {
                selector.select(TIMEOUT_MS);
                channel.finishConnect();
            }
            channel.write(ByteBuffer.wrap("ping\n".getBytes()));
            key.interestOps(SelectionKey.OP_READ);
            ByteBuffer answer = ByteBuffer.allocate(5);
            while (answer.hasRemaining()) {
                selector.select(TIMEOUT_MS);
                selector.selectedKeys().clear();
                if (channel.read(answer) < 0) break;
            }
            return new String(answer.array(), 0, answer.position());
        }
    }

    static String http(String host, int port) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://" + host + ":" + port + "/")).build();
        return client.send(request, HttpResponse.BodyHandlers.ofString()).body();
    }
}
