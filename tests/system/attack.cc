// Attacks a server on loopback while honest devices enrol, and says as JSON what became of both:
//
//   attack --port P --kind silent --seconds 3
//
// Attackers come from addresses of 127.1.0.0/16, devices from 127.0.0.1.

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "attack.h"
#include "scep/ca_messages.h"

namespace {

using namespace std::chrono_literals;
using namespace umbra;
using namespace umbra::attack;
using Steady = std::chrono::steady_clock;

// ---- honest devices

struct Honest {
  std::vector<double> seconds;
  std::size_t failed = 0;
  std::size_t tries = 0;
};

/// A device asks again when it is told to, or gets no answer; it is done with its certificate.
bool enrols(std::uint16_t port, const Bytes& message, std::atomic<std::size_t>& tries) {
  const auto patience = Steady::now() + 20s;
  while (Steady::now() < patience) {
    ++tries;
    const std::string in = converse(port, post(message, "close"));
    if (in.starts_with("HTTP/1.1 200")) {
      const auto opened = scep::open_envelope(as_bytes(in).subspan(in.find("\r\n\r\n") + 4), {});
      return opened && opened->envelope.status == scep::PkiStatus::success;
    }
    std::this_thread::sleep_for(200ms);
  }
  return false;
}

std::vector<Bytes> prepare(const x509::Certificate& ca, std::size_t count, Random& random) {
  const auto key = *x509::PrivateKey::generate_rsa(2048);
  const std::string run = to_hex(scep::make_nonce(random));
  std::vector<Bytes> messages;
  for (std::size_t i = 0; i < count; ++i) {
    const auto subject = *x509::Name::from_ios(fmt::format("CN=honest-{}-{}", run, i));
    const auto request = *x509::sign_request({subject, {}, {}}, key, x509::Digest::sha256);
    const auto signer =
        *x509::self_signed_signer(subject, ca.not_before(), key, x509::Digest::sha256);
    messages.push_back(*scep::request(
        request.der(),
        {scep::MessageType::pkcs_req, run + std::to_string(i), scep::make_nonce(random), ca, signer,
         scep::Cipher::aes128_cbc, x509::Digest::sha256},
        key, random));
  }
  return messages;
}

// ---- attackers

struct Kind {
  std::size_t connections = 0;
  std::string first{};    ///< sent at once
  std::string trickle{};  ///< then an octet a second of this, for ever
  bool shut = false;      ///< and then no more
  bool reads = true;
  bool again = false;  ///< after an answer, from the beginning
  bool anew = true;    ///< whoever is closed comes again
};

struct Tally {
  std::size_t opened = 0;
  std::size_t answered = 0;
  std::map<std::string, std::size_t> statuses{};
  std::size_t unanswered = 0;  ///< whole requests whose connection was closed without a word
  double longest = 0;          ///< seconds that a connection stayed open
};

/// Many connections on one thread.
class Swarm {
 public:
  Swarm(const Kind& kind, std::uint16_t port) : kind_(kind), port_(port) {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  }
  ~Swarm() {
    for (auto& [fd, one] : all_) ::close(fd);
    ::close(epoll_);
  }
  Swarm(const Swarm&) = delete;
  Swarm& operator=(const Swarm&) = delete;

  Tally run(const std::atomic<bool>& over) {
    auto next_second = Steady::now() + 1s;
    while (!over) {
      // In portions, so that those who are there are looked after meanwhile.
      for (int i = 0; i < 1000 && all_.size() < kind_.connections && may_open_; ++i) open();
      epoll_event events[256];
      const int count = ::epoll_wait(epoll_, events, 256, 20);
      for (int i = 0; i < count; ++i) look(events[i].data.fd, events[i].events);
      if (Steady::now() < next_second) continue;
      next_second += 1s;
      if (!kind_.trickle.empty()) trickle();
    }
    for (const auto& [fd, one] : all_) closed(one);
    return tally_;
  }

 private:
  struct One {
    Steady::time_point since;
    std::size_t sent = 0;
    std::string in{};
    std::size_t owed = 0;  ///< answers to whole requests
    std::size_t trickled = 0;
  };

  void open() {
    const std::uint32_t from = 0x7F010001U + static_cast<std::uint32_t>(next_++ % 60);
    const int fd = connected(from, port_, false);
    if (fd < 0) {
      may_open_ = false;
      return;
    }
    ++tally_.opened;
    all_.emplace(fd, One{Steady::now()});
    epoll_event event{};
    event.events = (kind_.reads ? EPOLLIN : 0U) | EPOLLRDHUP |
                   (kind_.first.empty() ? 0U : static_cast<unsigned>(EPOLLOUT));
    event.data.fd = fd;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  void wants(int fd, bool to_send) const {
    epoll_event event{};
    event.events = (kind_.reads ? EPOLLIN : 0U) | EPOLLRDHUP |
                   (to_send ? static_cast<unsigned>(EPOLLOUT) : 0U);
    event.data.fd = fd;
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
  }

  void look(int fd, std::uint32_t events) {
    const auto at = all_.find(fd);
    if (at == all_.end()) return;
    One& one = at->second;
    if ((events & EPOLLOUT) != 0 && one.sent < kind_.first.size()) {
      const ssize_t got =
          ::send(fd, kind_.first.data() + one.sent, kind_.first.size() - one.sent, MSG_NOSIGNAL);
      if (got > 0) one.sent += static_cast<std::size_t>(got);
      if (one.sent == kind_.first.size()) {
        if (kind_.again) one.owed = 1;
        if (kind_.shut) ::shutdown(fd, SHUT_WR);
        wants(fd, false);
      }
    }
    bool ended = (events & (EPOLLERR | EPOLLHUP)) != 0;
    if ((events & EPOLLIN) != 0) {
      char chunk[65536];
      const ssize_t got = ::recv(fd, chunk, sizeof chunk, 0);
      if (got == 0 || (got < 0 && errno != EAGAIN)) ended = true;
      if (got > 0) one.in.append(chunk, static_cast<std::size_t>(got));
      while (const std::size_t size = answer_size(one.in)) {
        ++tally_.answered;
        ++tally_.statuses[one.in.substr(9, 3)];
        const bool last = one.in.find("\r\nConnection: close\r\n") < size;
        one.in.erase(0, size);
        one.owed = 0;
        if (kind_.again && !last) {
          one.sent = 0;
          wants(fd, true);
        }
      }
    } else if ((events & EPOLLRDHUP) != 0) {
      ended = true;
    }
    if (!ended) return;
    if (one.owed != 0) ++tally_.unanswered;
    closed(one);
    ::close(fd);
    all_.erase(at);
    may_open_ = kind_.anew;
  }

  void closed(const One& one) {
    const double seconds = std::chrono::duration<double>(Steady::now() - one.since).count();
    tally_.longest = std::max(tally_.longest, seconds);
  }

  void trickle() {
    for (auto& [fd, one] : all_) {
      const char c = kind_.trickle[one.trickled++ % kind_.trickle.size()];
      static_cast<void>(::send(fd, &c, 1, MSG_NOSIGNAL | MSG_DONTWAIT));
    }
  }

  const Kind& kind_;
  const std::uint16_t port_;
  int epoll_;
  std::map<int, One> all_;
  std::size_t next_ = 0;
  bool may_open_ = true;
  Tally tally_;
};

Bytes repeated(std::initializer_list<std::uint8_t> what, std::size_t size) {
  Bytes out;
  while (out.size() < size) out.insert(out.end(), what);
  out.resize(size);
  return out;
}

std::map<std::string, Kind> kinds(const Bytes& enrolment) {
  const std::string half = "POST /scep?operation=PKIOperation HTTP/1.1\r\nHost: a\r\n";
  std::string fields = "GET / HTTP/1.1\r\n";
  for (int i = 0; fields.size() < 79 * 1024; ++i) fields += fmt::format("{:x}:\r\n", i);
  std::string pipelined;
  for (int i = 0; i < 2000; ++i) pipelined += get("/scep?operation=GetCACert");
  std::map<std::string, Kind> all;
  all["silent"] = {.connections = 10000};
  all["slowloris"] = {.connections = 5000, .first = half, .trickle = "X: y\r\n"};
  all["slow-body"] = {.connections = 5000,
                      .first = half + "Content-Length: 60000\r\n\r\n" + std::string(100, '0'),
                      .trickle = "0"};
  all["half-closed"] = {.connections = 3000, .first = half, .shut = true};
  all["pipelining"] = {.connections = 64, .first = pipelined, .reads = false};
  all["half-headers"] = {.connections = 5000, .first = "GET /" + std::string(79 * 1024, 'x')};
  all["half-bodies"] = {.connections = 5000,
                        .first = half + "Content-Length: 65536\r\n\r\n" + std::string(65000, '0')};
  all["fields"] = {.connections = 200, .first = fields + "\r\n", .again = true};
  all["garbage"] = {.connections = 500, .first = post(Bytes(65536, 0xFF)), .again = true};
  all["nested"] = {.connections = 500, .first = post(repeated({0x30, 0x80}, 65536)), .again = true};
  all["too-large"] = {.connections = 100,
                      .first = half + "Content-Length: 2097152\r\n\r\n" + std::string(2097152, '0'),
                      .again = true};
  all["get-ca"] = {.connections = 500, .first = get("/scep?operation=GetCACert"), .again = true};
  all["replay"] = {.connections = 500, .first = post(enrolment), .again = true};
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint16_t port = 0;
  std::string kind;
  double seconds = 3;
  double per_second = 20;
  bool once = false;
  CLI::App app("Attacks a server on loopback while honest devices enrol");
  app.add_option("--port", port, "where it listens")->required();
  app.add_option("--kind", kind, "which attack; none: devices alone")->required();
  app.add_option("--seconds", seconds, "how long");
  app.add_option("--per-second", per_second, "devices that enrol");
  app.add_flag("--few", once,
               "so few connections that none makes room for another, and none again");
  CLI11_PARSE(app, argc, argv);

  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);

  SystemRandom random;
  const std::string told = converse(port, get("/scep?operation=GetCACert"));
  if (told.empty()) stop("no answer to GetCACert");
  const auto cas = scep::parse_ca_cert(as_bytes(told).subspan(told.find("\r\n\r\n") + 4));
  if (!cas) stop("GetCACert: " + cas.error().detail);
  const auto count = static_cast<std::size_t>(seconds * per_second);
  const auto messages = prepare(cas->front(), count + 1, random);

  auto all = kinds(messages.back());
  if (kind != "none" && !all.contains(kind)) stop("no attack " + kind);
  Kind chosen = kind == "none" ? Kind{} : all[kind];
  if (once) {
    chosen.connections = 200;
    chosen.anew = false;
  }
  std::atomic<bool> over = false;
  Tally tally;
  std::thread attacker([&] { tally = Swarm(chosen, port).run(over); });
  std::this_thread::sleep_for(500ms);

  // Each at its time, whatever became of those before.
  Honest honest;
  std::atomic<std::size_t> tries = 0;
  std::mutex mutex;
  std::vector<std::thread> devices;
  const auto begin = Steady::now();
  for (std::size_t i = 0; i < count; ++i) {
    std::this_thread::sleep_until(
        begin + std::chrono::duration_cast<Steady::duration>(
                    std::chrono::duration<double>(static_cast<double>(i) / per_second)));
    devices.emplace_back([&, i] {
      const auto sent = Steady::now();
      const bool done = enrols(port, messages[i], tries);
      const double took = std::chrono::duration<double>(Steady::now() - sent).count();
      const std::lock_guard lock(mutex);
      if (done) {
        honest.seconds.push_back(took);
      } else {
        ++honest.failed;
      }
    });
  }
  for (auto& device : devices) device.join();
  over = true;
  attacker.join();

  std::sort(honest.seconds.begin(), honest.seconds.end());
  const auto in_time = static_cast<std::size_t>(
      std::count_if(honest.seconds.begin(), honest.seconds.end(), [](double s) { return s < 2; }));
  const auto at = [&](double share) {
    if (honest.seconds.empty()) return 0.0;
    return honest.seconds[std::min(
        honest.seconds.size() - 1,
        static_cast<std::size_t>(share * static_cast<double>(honest.seconds.size())))];
  };
  std::string statuses;
  for (const auto& [status, n] : tally.statuses)
    statuses += fmt::format("{}\"{}\": {}", statuses.empty() ? "" : ", ", status, n);
  fmt::print(
      "{{\"kind\": \"{}\", \"enrolments\": {}, \"in_time\": {}, \"failed\": {}, \"tries\": {}, "
      "\"p50\": {:.3f}, \"p99\": {:.3f}, \"longest_connection\": {:.2f}, \"opened\": {}, "
      "\"answered\": {}, \"unanswered\": {}, \"statuses\": {{{}}}}}\n",
      kind, count, in_time, honest.failed, tries.load(), at(0.5), at(0.99), tally.longest,
      tally.opened, tally.answered, tally.unanswered, statuses);
  return 0;
}
