#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "scep/ca_messages.h"
#include "scep/message.h"

/// The real daemon under load, as the programs of this folder have it.
namespace umbra::bench {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

[[noreturn]] inline void stop(const std::string& why) {
  fmt::print(stderr, "bench: {}\n", why);
  std::exit(1);
}

template <class T>
T must(Result<T> result, const char* what) {
  if (!result) stop(std::string(what) + ": " + result.error().detail);
  return *std::move(result);
}

class BenchRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    std::ifstream urandom("/dev/urandom", std::ios::binary);
    urandom.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size()));
  }
};

inline double thread_cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// CPU seconds, user and system, that a process and its threads have used (proc(5), stat fields 14
/// and 15).
inline double process_cpu_seconds(pid_t pid) {
  std::ifstream in(fmt::format("/proc/{}/stat", pid));
  std::string text((std::istreambuf_iterator<char>(in)), {});
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

inline long memory_kib(pid_t pid, const std::string& field) {
  std::ifstream in(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(field + ":"))
      return std::strtol(line.c_str() + field.size() + 1, nullptr, 10);
  }
  return 0;
}

/// One keep-alive HTTP/1.1 connection to loopback, just as much of a client as a load needs.
class Connection {
 public:
  explicit Connection(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    open_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    const int one = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  [[nodiscard]] bool open() const { return open_; }

  Bytes exchange(const std::string& head, ByteView body) {
    std::string out = head;
    out.append(as_text(body));
    for (std::size_t sent = 0; sent < out.size();) {
      const ssize_t n = ::send(socket_, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) stop("the server closed a connection");
      sent += static_cast<std::size_t>(n);
    }
    std::size_t header_end = std::string::npos;
    while ((header_end = buffer_.find("\r\n\r\n")) == std::string::npos) fill();
    std::string header = buffer_.substr(0, header_end);
    std::transform(header.begin(), header.end(), header.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    if (!header.starts_with("http/1.1 200")) stop("an answer that is not 200: " + header);
    const std::size_t length_at = header.find("content-length:");
    if (length_at == std::string::npos) stop("an answer without Content-Length");
    const std::size_t length = std::strtoul(header.c_str() + length_at + 15, nullptr, 10);
    while (buffer_.size() < header_end + 4 + length) fill();
    const auto content = as_bytes(std::string_view(buffer_).substr(header_end + 4, length));
    Bytes reply(content.begin(), content.end());
    buffer_.erase(0, header_end + 4 + length);
    return reply;
  }

 private:
  void fill() {
    char chunk[16384];
    const ssize_t n = ::recv(socket_, chunk, sizeof chunk, 0);
    if (n <= 0) stop("the server closed a connection");
    buffer_.append(chunk, static_cast<std::size_t>(n));
  }
  int socket_;
  bool open_ = false;
  std::string buffer_;
};

inline std::string get(const std::string& target) {
  return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}
inline std::string post(const std::string& target, std::size_t length) {
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/x-pki-message\r\nContent-Length: {}\r\n\r\n",
      target, length);
}

inline std::uint16_t free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(socket, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    stop("no free port");
  }
  ::close(socket);
  return ntohs(address.sin_port);
}

/// The real daemon on a fresh data directory; ended and removed with this object.
class Daemon {
 public:
  /// With a certificate server called BENCH.
  Daemon(std::string umbrad, std::uint16_t port)
      : Daemon(std::move(umbrad),
               fmt::format(
                   "ip http server\nip http port {}\nip http address 127.0.0.1\n"
                   "clock calendar-valid\ncrypto pki server BENCH\n issuer-name CN=Bench,O=Umbra\n"
                   " grant auto\n no shutdown\n",
                   port),
               [port](const Daemon&) { return Connection(port).open(); }) {}
  Daemon(std::string umbrad, const std::string& configuration,
         std::function<bool(const Daemon&)> runs)
      : umbrad_(std::move(umbrad)), runs_(std::move(runs)) {
    std::string shape = (std::filesystem::temp_directory_path() / "umbra-bench-XXXXXX").string();
    if (::mkdtemp(shape.data()) == nullptr) stop("no temporary directory");
    directory_ = shape;
    const std::string config = (directory_ / "umbra.conf").string();
    std::ofstream(config) << configuration;
    std::filesystem::create_directory(data());
    start();
  }
  ~Daemon() {
    end();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  void start() {
    const std::string log = (directory_ / "log").string();
    std::vector<std::string> words = {umbrad_, "--config", (directory_ / "umbra.conf").string(),
                                      "--data", data()};
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (::posix_spawn(&pid_, umbrad_.c_str(), &actions, nullptr, arguments.data(), environ) != 0) {
      stop("cannot start " + umbrad_);
    }
    posix_spawn_file_actions_destroy(&actions);
    for (int i = 0; i < 300; ++i) {
      if (runs_(*this)) return;
      std::this_thread::sleep_for(100ms);
    }
    stop("the daemon does not run; its log is " + log);
  }
  void end() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] std::string log() const {
    std::ifstream in(directory_ / "log");
    return {std::istreambuf_iterator<char>(in), {}};
  }
  [[nodiscard]] std::string data() const { return (directory_ / "data").string(); }

 private:
  std::string umbrad_;
  std::function<bool(const Daemon&)> runs_;
  std::filesystem::path directory_;
  pid_t pid_ = 0;
};

inline std::vector<Bytes> prepare(const x509::Certificate& ca, std::size_t count, Random& random) {
  const auto key = must(x509::PrivateKey::generate_rsa(2048), "key");
  const Time now = std::chrono::floor<std::chrono::seconds>(ca.not_before());
  std::vector<Bytes> messages;
  for (std::size_t i = 0; i < count; ++i) {
    const auto subject = must(x509::Name::from_ios(fmt::format("CN=bench-{},O=Umbra", i)), "name");
    const auto request =
        must(x509::sign_request({subject, std::nullopt, {}}, key, x509::Digest::sha256), "request");
    const auto signer =
        must(x509::self_signed_signer(subject, now, key, x509::Digest::sha256), "signer");
    const scep::RequestContext context{scep::MessageType::pkcs_req,
                                       fmt::format("bench-{}", i),
                                       scep::make_nonce(random),
                                       ca,
                                       signer,
                                       scep::Cipher::aes128_cbc,
                                       x509::Digest::sha256};
    messages.push_back(must(scep::request(request.der(), context, key, random), "message"));
  }
  return messages;
}

/// Sends these messages over several connections at once.
struct Load {
  std::vector<Bytes> replies;
  std::vector<double> latencies_ms;
  double seconds = 0;
};
inline Load enroll(std::uint16_t port, std::span<const Bytes> messages, unsigned connections) {
  Load load{std::vector<Bytes>(messages.size()), std::vector<double>(messages.size()), 0};
  std::atomic<std::size_t> next = 0;
  const auto begun = Clock::now();
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < connections; ++i) {
    threads.emplace_back([&] {
      Connection connection(port);
      for (std::size_t at = next++; at < messages.size(); at = next++) {
        const auto sent = Clock::now();
        load.replies[at] = connection.exchange(
            post("/scep?operation=PKIOperation", messages[at].size()), messages[at]);
        load.latencies_ms[at] =
            std::chrono::duration<double, std::milli>(Clock::now() - sent).count();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  load.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  for (const auto& reply : load.replies) {
    const auto opened = scep::open_envelope(reply, {});
    if (!opened || opened->envelope.status != scep::PkiStatus::success)
      stop("an enrolment was not granted");
  }
  return load;
}

inline double percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1,
                         static_cast<std::size_t>(share * static_cast<double>(values.size())))];
}

}  // namespace umbra::bench
