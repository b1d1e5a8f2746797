// Durable enrolments: what the real daemon costs per certificate, beside what the crypto alone
// costs on the same machine in the same run. The ratio is the figure to quote; absolute numbers
// belong to the machine.
//
//   enrolments --umbrad build/release/umbrad [--connections 8] [--count 2000]

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
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "scep/ca_messages.h"
#include "scep/message.h"

namespace {

using namespace std::chrono_literals;
using umbra::Bytes;
using umbra::ByteView;
using Clock = std::chrono::steady_clock;

[[noreturn]] void stop(const std::string& why) {
  fmt::print(stderr, "enrolments: {}\n", why);
  std::exit(1);
}

template <class T>
T must(umbra::Result<T> result, const char* what) {
  if (!result) stop(std::string(what) + ": " + result.error().detail);
  return *std::move(result);
}

class BenchRandom final : public umbra::Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    std::ifstream urandom("/dev/urandom", std::ios::binary);
    urandom.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size()));
  }
};

double thread_cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// CPU seconds, user and system, that a process and its threads have used (proc(5), stat fields 14
/// and 15).
double process_cpu_seconds(pid_t pid) {
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

long memory_kib(pid_t pid, const std::string& field) {
  std::ifstream in(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(field + ":"))
      return std::strtol(line.c_str() + field.size() + 1, nullptr, 10);
  }
  return 0;
}

struct Floor {
  double cpu_ms;      ///< of three private operations on one thread
  double per_second;  ///< triples a second on all cores at once
};

Floor measure_floor(const umbra::x509::PrivateKey& key) {
  const Bytes message(64, 0x5A);
  const auto triple = [&] {
    for (int i = 0; i < 3; ++i) must(key.sign(umbra::x509::Digest::sha256, message), "sign");
  };
  for (int i = 0; i < 50; ++i) triple();
  const double before = thread_cpu_seconds();
  constexpr int rounds = 800;
  for (int i = 0; i < rounds; ++i) triple();
  const double cpu_ms = (thread_cpu_seconds() - before) / rounds * 1000;

  std::atomic<int> done = 0;
  const auto end = Clock::now() + 1s;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
    threads.emplace_back([&] {
      while (Clock::now() < end) {
        triple();
        ++done;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return {cpu_ms, static_cast<double>(done)};
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
    out.append(umbra::as_text(body));
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
    const auto content = umbra::as_bytes(std::string_view(buffer_).substr(header_end + 4, length));
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

std::string get(const std::string& target) {
  return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}
std::string post(const std::string& target, std::size_t length) {
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/x-pki-message\r\nContent-Length: {}\r\n\r\n",
      target, length);
}

std::uint16_t free_port() {
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
  Daemon(const std::string& umbrad, std::uint16_t port) {
    std::string shape = (std::filesystem::temp_directory_path() / "umbra-bench-XXXXXX").string();
    if (::mkdtemp(shape.data()) == nullptr) stop("no temporary directory");
    directory_ = shape;
    const std::string config = (directory_ / "umbra.conf").string();
    std::ofstream(config) << fmt::format(
        "ip http server\nip http port {}\nip http address 127.0.0.1\nclock calendar-valid\n"
        "crypto pki server BENCH\n issuer-name CN=Bench,O=Umbra\n grant auto\n no shutdown\n",
        port);
    const std::string data = (directory_ / "data").string();
    const std::string log = (directory_ / "log").string();
    std::filesystem::create_directory(data);
    std::vector<std::string> words = {umbrad, "--config", config, "--data", data};
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (::posix_spawn(&pid_, umbrad.c_str(), &actions, nullptr, arguments.data(), environ) != 0) {
      stop("cannot start " + umbrad);
    }
    posix_spawn_file_actions_destroy(&actions);
    for (int i = 0; i < 300; ++i) {
      if (Connection(port).open()) return;
      std::this_thread::sleep_for(100ms);
    }
    stop("the daemon does not listen; its log is " + log);
  }
  ~Daemon() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  std::filesystem::path directory_;
  pid_t pid_ = 0;
};

std::vector<Bytes> prepare(const umbra::x509::Certificate& ca, std::size_t count,
                           umbra::Random& random) {
  using namespace umbra;
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

double percentile(std::vector<double>& sorted, double share) {
  return sorted[std::min(sorted.size() - 1,
                         static_cast<std::size_t>(share * static_cast<double>(sorted.size())))];
}

}  // namespace

int main(int argc, char** argv) {
  std::string umbrad;
  unsigned connections = 8;
  std::size_t count = 2000;
  CLI::App app("Durable enrolments beside the crypto floor");
  app.add_option("--umbrad", umbrad, "the daemon to measure")->required()->check(CLI::ExistingFile);
  app.add_option("--connections", connections, "connections at once")->check(CLI::Range(1, 512));
  app.add_option("--count", count, "enrolments to measure")->check(CLI::Range(100, 1000000));
  CLI11_PARSE(app, argc, argv);

  BenchRandom random;
  const std::uint16_t port = free_port();
  const Daemon daemon(umbrad, port);
  Connection first(port);
  // The daemon listens before its first CA certificate is made; wait for the certificate itself.
  const auto ca =
      must(umbra::scep::parse_ca_cert(first.exchange(get("/scep?operation=GetCACert"), {})),
           "GetCACert")
          .front();
  const std::size_t warm_up = std::max<std::size_t>(50, count / 20);
  const auto messages = prepare(ca, count + warm_up, random);
  const auto key = must(umbra::x509::PrivateKey::generate_rsa(2048), "key");
  const long idle_kib = memory_kib(daemon.pid(), "VmRSS");

  std::vector<Bytes> replies(messages.size());
  std::vector<double> latencies(messages.size());
  std::atomic<std::size_t> next = 0;
  const auto load = [&](std::size_t until) {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < connections; ++i) {
      threads.emplace_back([&, until] {
        Connection connection(port);
        for (std::size_t at = next++; at < until; at = next++) {
          const auto begun = Clock::now();
          replies[at] = connection.exchange(
              post("/scep?operation=PKIOperation", messages[at].size()), messages[at]);
          latencies[at] = std::chrono::duration<double, std::milli>(Clock::now() - begun).count();
        }
      });
    }
    for (auto& thread : threads) thread.join();
  };
  load(warm_up);
  next = warm_up;

  const Floor before = measure_floor(key);
  const double cpu_before = process_cpu_seconds(daemon.pid());
  const auto begun = Clock::now();
  load(messages.size());
  const double wall = std::chrono::duration<double>(Clock::now() - begun).count();
  const double cpu = process_cpu_seconds(daemon.pid()) - cpu_before;
  const Floor after = measure_floor(key);

  std::size_t granted = 0;
  for (const auto& reply : replies) {
    const auto opened = umbra::scep::open_envelope(reply, {});
    if (opened && opened->envelope.status == umbra::scep::PkiStatus::success) ++granted;
  }
  if (granted != replies.size())
    stop(fmt::format("only {} of {} enrolments were granted", granted, replies.size()));

  std::vector<double> sorted(latencies.begin() + static_cast<std::ptrdiff_t>(warm_up),
                             latencies.end());
  std::sort(sorted.begin(), sorted.end());
  const double floor_ms = (before.cpu_ms + after.cpu_ms) / 2;
  const double floor_rate = (before.per_second + after.per_second) / 2;
  const double cpu_ms = cpu / static_cast<double>(count) * 1000;
  const double rate = static_cast<double>(count) / wall;
  fmt::print("durable enrolments, RSA-2048, {} connections, {} measured\n\n", connections, count);
  fmt::print("  {:<44}{:>10.2f} ms\n", "crypto floor: 3 private operations, CPU", floor_ms);
  fmt::print("  {:<44}{:>10.0f} /s\n", "crypto floor, all cores", floor_rate);
  fmt::print("  {:<44}{:>10.2f} ms\n", "server CPU per enrolment", cpu_ms);
  fmt::print("  {:<44}{:>10.0f} /s\n", "enrolments, committed before the reply", rate);
  fmt::print("  {:<44}{:>10.1f} ms\n", "latency p50", percentile(sorted, 0.50));
  fmt::print("  {:<44}{:>10.1f} ms\n", "latency p99", percentile(sorted, 0.99));
  fmt::print("  {:<44}{:>10.1f} MiB\n", "memory, idle", static_cast<double>(idle_kib) / 1024);
  fmt::print("  {:<44}{:>10.1f} MiB\n\n", "memory, peak",
             static_cast<double>(memory_kib(daemon.pid(), "VmHWM")) / 1024);
  fmt::print("  {:<44}{:>10.2f} x\n", "server CPU / crypto floor", cpu_ms / floor_ms);
  fmt::print("  {:<44}{:>10.2f} x\n", "enrolments / crypto floor rate", rate / floor_rate);
  return 0;
}
