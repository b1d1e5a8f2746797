#include "load.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace umbra::bench {
namespace {

constexpr std::size_t chunk = 64 * 1024;

std::optional<std::string> unchunked(std::string_view text) {
  std::string body;
  for (;;) {
    const std::size_t line = text.find("\r\n");
    if (line == std::string_view::npos) return std::nullopt;
    const std::size_t size = std::strtoul(std::string(text.substr(0, line)).c_str(), nullptr, 16);
    text.remove_prefix(line + 2);
    if (text.size() < size + 2) return std::nullopt;
    if (size == 0) return body;
    body.append(text.substr(0, size));
    text.remove_prefix(size + 2);
  }
}

std::optional<std::string_view> field(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find("\r\n"); at != std::string_view::npos;
       at = head.find("\r\n", at)) {
    at += 2;
    if (head.size() - at > name.size() && head[at + name.size()] == ':' &&
        std::equal(name.begin(), name.end(), head.begin() + static_cast<std::ptrdiff_t>(at),
                   [](char a, char b) { return a == (b | 0x20) || a == b; })) {
      at += name.size() + 1;
      const std::size_t end = std::min(head.find("\r\n", at), head.size());
      while (at < end && head[at] == ' ') ++at;
      return head.substr(at, end - at);
    }
  }
  return std::nullopt;
}

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
  [[nodiscard]] int socket() const { return socket_; }

  void send(std::string_view request) {
    received_.clear();
    sent_at_ = Clock::now();
    while (!request.empty()) {
      const ssize_t n = ::send(socket_, request.data(), request.size(), MSG_NOSIGNAL);
      if (n <= 0) stop("the server closed a connection");
      request.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  /// Blocks until there is something. False: the server has closed.
  bool receive() {
    const std::size_t before = received_.size();
    received_.resize(before + chunk);
    const ssize_t n = ::recv(socket_, received_.data() + before, chunk, 0);
    received_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    return n > 0;
  }
  [[nodiscard]] const std::string& received() const { return received_; }
  [[nodiscard]] double waited_ms() const { return seconds_since(sent_at_) * 1000; }

 private:
  int socket_;
  bool open_ = false;
  std::string received_;
  Clock::time_point sent_at_;
};

/// Connections that are all asked for the next request as soon as they have their answer.
class Round {
 public:
  Round(std::uint16_t port, unsigned connections) : poll_(::epoll_create1(0)) {
    for (unsigned i = 0; i < connections; ++i) {
      auto one = std::make_unique<Connection>(port);
      if (!one->open()) stop("the server takes no more connections");
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u32 = i;
      ::epoll_ctl(poll_, EPOLL_CTL_ADD, one->socket(), &event);
      all_.push_back(std::move(one));
    }
  }
  ~Round() { ::close(poll_); }
  Round(const Round&) = delete;
  Round& operator=(const Round&) = delete;

  /// `next`: what this connection sends now, or null for no more. `take`: what it was answered.
  void run(const std::function<const std::string*(std::size_t)>& next,
           const std::function<void(std::size_t, const std::string&, double)>& take) {
    std::size_t under_way = 0;
    const auto ask = [&](std::size_t i) {
      if (const std::string* const request = next(i)) {
        all_[i]->send(*request);
        ++under_way;
      }
    };
    for (std::size_t i = 0; i < all_.size(); ++i) ask(i);
    std::vector<epoll_event> events(all_.size());
    while (under_way > 0) {
      const int ready = ::epoll_wait(poll_, events.data(), static_cast<int>(events.size()), -1);
      for (int e = 0; e < ready; ++e) {
        const std::size_t i = events[static_cast<std::size_t>(e)].data.u32;
        Connection& one = *all_[i];
        if (!one.receive()) stop("the server closed a connection");
        if (!whole(one.received())) continue;
        take(i, one.received(), one.waited_ms());
        --under_way;
        ask(i);
      }
    }
  }

 private:
  /// Most answers come in one piece; only their length is looked at here.
  static bool whole(const std::string& received) {
    const std::size_t end = received.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    const auto length = field(std::string_view(received).substr(0, end), "content-length");
    if (!length) return answer_in(received).has_value();
    return received.size() >= end + 4 + std::strtoul(length->data(), nullptr, 10);
  }

  int poll_;
  std::vector<std::unique_ptr<Connection>> all_;
};

}  // namespace

std::string get(const std::string& target) {
  return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}

std::string post(const std::string& target, ByteView body) {
  std::string out = fmt::format(
      "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-pki-message\r\n"
      "Content-Length: {}\r\n\r\n",
      target, body.size());
  out.append(as_text(body));
  return out;
}

std::optional<Answer> answer_in(const std::string& received) {
  const std::string_view all = received;
  const std::size_t end = all.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view head = all.substr(0, end);
  const std::string_view rest = all.substr(end + 4);
  Answer answer;
  if (head.size() > 12)
    answer.status = static_cast<unsigned>(std::strtoul(head.data() + 9, nullptr, 10));
  if (const auto after = field(head, "retry-after"))
    answer.retry_after = static_cast<int>(std::strtol(after->data(), nullptr, 10));
  if (const auto length = field(head, "content-length")) {
    const std::size_t size = std::strtoul(length->data(), nullptr, 10);
    if (rest.size() < size) return std::nullopt;
    answer.body = rest.substr(0, size);
    return answer;
  }
  auto body = unchunked(rest);
  if (!body) return std::nullopt;
  answer.body = *std::move(body);
  return answer;
}

std::string ask(std::uint16_t port, const std::string& request) {
  Connection connection(port);
  if (!connection.open()) stop("nobody listens");
  connection.send(request);
  for (;;) {
    if (!connection.receive()) stop("the server closed a connection");
    auto answer = answer_in(connection.received());
    if (!answer) continue;
    if (answer->status != 200)
      stop(fmt::format("HTTP {} to {}", answer->status, request.substr(0, request.find('\r'))));
    return std::move(answer->body);
  }
}

bool answers(std::uint16_t port, const std::string& target) {
  Connection connection(port);
  if (!connection.open()) return false;
  connection.send(get(target));
  while (connection.receive()) {
    if (const auto answer = answer_in(connection.received())) return answer->status == 200;
  }
  return false;
}

double Load::percentile_ms(double share) const { return percentile(latencies_ms, share); }

Load send_each(std::uint16_t port, std::span<const std::string> requests, unsigned connections) {
  Load load;
  load.replies.resize(requests.size());
  load.latencies_ms.resize(requests.size());
  Round round(port, connections);
  std::vector<std::size_t> asked(connections);
  std::size_t next = 0;
  const auto begun = Clock::now();
  const double cpu = thread_cpu_seconds();
  round.run(
      [&](std::size_t i) {
        return next == requests.size() ? nullptr : &requests[asked[i] = next++];
      },
      [&](std::size_t i, const std::string& received, double waited_ms) {
        load.replies[asked[i]] = received;
        load.latencies_ms[asked[i]] = waited_ms;
      });
  load.load_cpu = thread_cpu_seconds() - cpu;
  load.seconds = seconds_since(begun);
  for (auto& reply : load.replies) {
    auto answer = answer_in(reply);
    if (answer->status != 200) ++load.failed;
    reply = answer->status == 200 ? std::move(answer->body) : std::string();
  }
  return load;
}

Load repeat(std::uint16_t port, const std::string& request, unsigned connections, double seconds) {
  Load load;
  Round round(port, connections);
  std::string first;
  const auto begun = Clock::now();
  const double cpu = thread_cpu_seconds();
  // The clock is read for every answer anyway.
  round.run([&](std::size_t) { return seconds_since(begun) < seconds ? &request : nullptr; },
            [&](std::size_t, const std::string& received, double waited_ms) {
              if (first.empty()) first = received;
              if (received != first) stop("an answer that is not like the others");
              load.latencies_ms.push_back(waited_ms);
            });
  load.load_cpu = thread_cpu_seconds() - cpu;
  load.seconds = seconds_since(begun);
  if (answer_in(first)->status != 200) stop("an answer that is not 200");
  return load;
}

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto at = std::min(values.size() - 1,
                           static_cast<std::size_t>(share * static_cast<double>(values.size())));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

}  // namespace umbra::bench
