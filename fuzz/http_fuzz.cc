// The HTTP server itself, on loopback. The first octets say where the rest is cut when it is sent.
// However it is cut, the same requests are handed out; each is within the limits, and understood as
// the same when it is said as plainly as can be; each has one answer, and what is no request has
// 400, 413, 431 or silence.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "io/http_server.h"

using namespace umbra;

namespace {

void must(bool condition) {
  if (!condition) std::abort();
}

const io::HttpLimits limits{.header_octets = 1024, .body_octets = 512, .requests_per_second = 0};

/// A call to the system that libFuzzer's own alarm does not break off in the middle.
template <class Call>
auto whole(const Call& call) {
  sigset_t alarm, before;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &alarm, &before);
  const auto result = call();
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return result;
}

/// The server, its loop turned by hand, and what it has handed out.
class Served {
 public:
  Served() {
    server_ =
        io::HttpServer::listen(loop_, "127.0.0.1", 0, limits,
                               [this](std::shared_ptr<const HttpRequest> request, HttpDone done) {
                                 boost::asio::post(workers_, [this, request, done] {
                                   {
                                     const std::lock_guard lock(mutex_);
                                     requests_.push_back(*request);
                                   }
                                   done({http_ok, "text/plain", request->body, {}});
                                 });
                               })
            .value();
  }

  struct Outcome {
    std::vector<HttpRequest> requests;
    std::string answer;
  };

  /// A connection on which these pieces arrive one after another, and then no more.
  Outcome converse(const std::vector<ByteView>& pieces) {
    requests_.clear();
    const int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(peer >= 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(server_->port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // Somebody else on this machine may have all the ports for a moment.
    const auto connected = [&] {
      return whole(
          [&] { return connect(peer, reinterpret_cast<const sockaddr*>(&to), sizeof to); });
    };
    for (int tries = 0; connected() != 0;) {
      must(errno == EADDRNOTAVAIL && ++tries < 1000);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    const int on = 1;
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // No TIME_WAIT: a fuzzer has more connections than there are ports.
    const linger gone{.l_onoff = 1, .l_linger = 0};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &gone, sizeof gone);
    Outcome outcome;
    for (const ByteView piece : pieces) {
      // The server may have said its last word, and closed.
      if (whole([&] { return send(peer, piece.data(), piece.size(), MSG_NOSIGNAL); }) < 0) break;
      turn();
    }
    shutdown(peer, SHUT_WR);
    while (read(peer, outcome.answer)) {
      // A worker may have it in hand.
      loop_.restart();
      loop_.run_one_for(std::chrono::milliseconds(1));
    }
    close(peer);
    turn();
    const std::lock_guard lock(mutex_);
    outcome.requests = std::exchange(requests_, {});
    return outcome;
  }

 private:
  /// Until it waits for the network or a worker.
  void turn() {
    loop_.restart();
    loop_.poll();
  }

  /// False at the end of the answers.
  static bool read(int peer, std::string& into) {
    pollfd ready{.fd = peer, .events = POLLIN, .revents = 0};
    if (whole([&] { return ::poll(&ready, 1, 0); }) == 0) return true;
    char octets[4096];
    const ssize_t size = whole([&] { return recv(peer, octets, sizeof octets, 0); });
    if (size <= 0) return false;
    into.append(octets, static_cast<std::size_t>(size));
    return true;
  }

  boost::asio::io_context loop_;
  boost::asio::thread_pool workers_{1};
  std::mutex mutex_;
  std::vector<HttpRequest> requests_;
  std::unique_ptr<io::HttpServer> server_;
};

Served& served() {
  static auto* const made = new Served;  // lives as long as the process
  return *made;
}

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

bool same(const std::vector<HttpRequest>& a, const std::vector<HttpRequest>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
    return one.method == other.method && one.target == other.target && one.body == other.body;
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4 || size > 8192) return 0;
  const ByteView octets(data + 3, size - 3);
  const auto uncut = served().converse({octets});
  std::vector<ByteView> pieces;
  ByteView rest = octets;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::size_t cut = rest.size() * data[i] / 256;
    if (cut > 0) pieces.push_back(rest.first(cut));
    rest = rest.subspan(cut);
  }
  pieces.push_back(rest);
  const auto cut = served().converse(pieces);
  // Beyond the header's limit Beast may see the header's end before it counts.
  if (octets.size() <= limits.header_octets) must(same(uncut.requests, cut.requests));

  for (const auto* outcome : {&uncut, &cut}) {
    // Bodies are sent back, and may hold anything: only an answer to nothing is counted exactly.
    const std::size_t good = count(outcome->answer, "HTTP/1.1 200 OK\r\n") +
                             count(outcome->answer, "HTTP/1.0 200 OK\r\n");
    must(good >= outcome->requests.size());
    if (outcome->requests.empty() && !outcome->answer.empty()) {
      const std::string_view status = std::string_view(outcome->answer).substr(9, 3);
      must(status == "400" || status == "413" || status == "431" || status == "100");
    }
  }

  for (const HttpRequest& request : uncut.requests) {
    must(!request.method.empty() && !request.target.empty());
    must(request.target.size() <= limits.header_octets + limits.body_octets);
    must(request.body.size() <= limits.body_octets);
    must(request.address == "127.0.0.1");
    std::string plain = request.method + " " + request.target + " HTTP/1.1\r\nHost: h\r\n";
    plain += "Content-Length: " + std::to_string(request.body.size()) + "\r\n\r\n";
    if (plain.size() > limits.header_octets) continue;
    plain += as_text(request.body);
    const auto again = served().converse({as_bytes(plain)});
    must(same(again.requests, {request}));
  }
  return 0;
}
