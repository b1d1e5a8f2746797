// A fleet's storm: many devices that all want a certificate within seconds, each over a connection
// of its own, as devices do, by the retry plan of a trustpoint: 503 with Retry-After is obeyed, and
// whoever gets no answer asks again after 60 seconds, 120, 240 ... Half of them renew, half enrol
// for the first time. Ends with status 1 unless all are served, each once.
//
//   storm --umbrad build/release/umbrad [--clients 20000] [--within 10] [--max-wait 2000]

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sqlite3.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <queue>
#include <set>
#include <utility>

#include "load.h"
#include "messages.h"

namespace {

using namespace umbra::bench;
using umbra::x509::Certificate;

constexpr double retry_period = 60;  // seconds; `enrollment retry period 1`
constexpr double patience = 60;
constexpr double given_up = 900;

struct Device {
  const std::string* request = nullptr;
  double first = 0;  ///< seconds from the beginning
  double asked = 0;  ///< the last time
  double served = 0;
  double waited = 0;  ///< for the answer that was the certificate
  std::string reply;
  std::string received;
  int socket = -1;
  unsigned put_off = 0;
  unsigned silent = 0;  ///< asked in vain
};

class Storm {
 public:
  Storm(std::uint16_t port, std::vector<Device>& devices)
      : port_(port), devices_(devices), poll_(::epoll_create1(0)) {
    for (std::size_t i = 0; i < devices.size(); ++i) due_.emplace(devices[i].first, i);
  }
  ~Storm() { ::close(poll_); }
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;

  void run() {
    begun_ = Clock::now();
    std::vector<epoll_event> events(512);
    while (served < devices_.size()) {
      if (now() > given_up)
        stop(fmt::format("{} devices were never served", devices_.size() - served));
      while (!due_.empty() && due_.top().first <= now()) {
        const std::size_t i = due_.top().second;
        due_.pop();
        ask(i);
      }
      give_up_on_the_silent();
      const double wait = due_.empty() ? 0.1 : std::min(0.1, due_.top().first - now());
      const int ready = ::epoll_wait(poll_, events.data(), static_cast<int>(events.size()),
                                     std::max(0, static_cast<int>(wait * 1000)));
      for (int e = 0; e < ready; ++e) on_event(events[static_cast<std::size_t>(e)]);
    }
  }
  [[nodiscard]] double now() const { return seconds_since(begun_); }

  std::size_t served = 0, put_off = 0, silent = 0, open = 0, open_max = 0;

 private:
  void ask(std::size_t i) {
    Device& device = devices_[i];
    device.asked = now();
    asked_.emplace(device.asked, i);
    device.received.clear();
    device.socket = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (device.socket < 0) stop("no more sockets");
    open_max = std::max(open_max, ++open);
    // Each network of devices has its own address, as far as loopback goes.
    const int one = 1;
    ::setsockopt(device.socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(0x7F000100U + static_cast<std::uint32_t>(i % 60000));
    if (::bind(device.socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      stop("no address of 127.0.0.0/8 to come from");
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    epoll_event event{};
    event.events = EPOLLOUT;
    event.data.u64 = i;
    ::epoll_ctl(poll_, EPOLL_CTL_ADD, device.socket, &event);
    if (::connect(device.socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
            0 &&
        errno != EINPROGRESS)
      no_answer(device, i);
  }

  void on_event(const epoll_event& event) {
    const std::size_t i = event.data.u64;
    Device& device = devices_[i];
    if (device.socket < 0) return;
    if (event.events & EPOLLOUT) {
      const std::string& request = *device.request;
      if (::send(device.socket, request.data(), request.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(request.size()))
        return no_answer(device, i);
      epoll_event reads{};
      reads.events = EPOLLIN;
      reads.data.u64 = i;
      ::epoll_ctl(poll_, EPOLL_CTL_MOD, device.socket, &reads);
      return;
    }
    char chunk[16384];
    const ssize_t n = ::recv(device.socket, chunk, sizeof chunk, 0);
    if (n <= 0) return no_answer(device, i);
    device.received.append(chunk, static_cast<std::size_t>(n));
    if (auto answer = answer_in(device.received)) on_answer(device, i, *std::move(answer));
  }

  void on_answer(Device& device, std::size_t i, Answer answer) {
    close(device);
    if (answer.status == 200) {
      device.served = now();
      device.waited = device.served - device.asked;
      device.reply = std::move(answer.body);
      ++served;
    } else if (answer.status == 503 && answer.retry_after) {
      ++put_off;
      ++device.put_off;
      due_.emplace(now() + *answer.retry_after, i);
    } else {
      no_answer(device, i);
    }
  }

  void no_answer(Device& device, std::size_t i) {
    close(device);
    ++silent;
    due_.emplace(now() + retry_period * static_cast<double>(1U << std::min(device.silent++, 16U)),
                 i);
  }

  void give_up_on_the_silent() {
    while (!asked_.empty() && asked_.front().first + patience <= now()) {
      const auto [when, i] = asked_.front();
      asked_.pop();
      if (devices_[i].socket >= 0 && devices_[i].asked == when) no_answer(devices_[i], i);
    }
  }

  void close(Device& device) {
    if (device.socket < 0) return;
    ::close(std::exchange(device.socket, -1));
    --open;
  }

  using Due = std::pair<double, std::size_t>;
  const std::uint16_t port_;
  std::vector<Device>& devices_;
  const int poll_;
  Clock::time_point begun_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  std::queue<Due> asked_;
};

void allow_many_sockets(std::size_t devices) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, devices + 100);
  ::setrlimit(RLIMIT_NOFILE, &files);
}

std::size_t certificates_in(const std::string& path) {
  sqlite3* database = nullptr;
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READONLY, nullptr) != SQLITE_OK ||
      sqlite3_prepare_v2(database, "SELECT count(*) FROM certificate", -1, &statement, nullptr) !=
          SQLITE_OK ||
      sqlite3_step(statement) != SQLITE_ROW)
    stop("cannot count the certificates in " + path);
  const auto count = static_cast<std::size_t>(sqlite3_column_int64(statement, 0));
  sqlite3_finalize(statement);
  sqlite3_close(database);
  return count;
}

void print_group(const char* name, std::span<const Device> devices) {
  std::vector<double> until, waited;
  std::size_t at_once = 0;
  for (const Device& one : devices) {
    until.push_back(one.served - one.first);
    waited.push_back(one.waited);
    if (one.put_off == 0) ++at_once;
  }
  fmt::print("  {:<18} {:>8} {:>12} {:>10.2f} {:>10.2f} {:>10.2f} {:>12.2f} {:>10.2f}\n", name,
             devices.size(), at_once, percentile(until, 0.5), percentile(until, 0.99),
             percentile(until, 1), percentile(waited, 0.5), percentile(waited, 0.99));
}

}  // namespace

int main(int argc, char** argv) {
  std::string umbrad;
  std::size_t clients = 20'000;
  double within = 10;
  int max_wait = 2000;
  CLI::App app("A storm of devices that enrol and renew");
  app.add_option("--umbrad", umbrad, "the daemon to measure")->required()->check(CLI::ExistingFile);
  app.add_option("--clients", clients, "devices")->check(CLI::Range(2, 60000));
  app.add_option("--within", within, "seconds in which they all come")
      ->check(CLI::Range(0.01, 600.0));
  app.add_option("--max-wait", max_wait, "the server's `ip http max-wait`, in milliseconds")
      ->check(CLI::Range(50, 60000));
  CLI11_PARSE(app, argc, argv);

  allow_many_sockets(clients);
  const std::uint16_t port = free_port();
  Daemon daemon(umbrad, port, {}, fmt::format("ip http max-wait {}\n", max_wait));
  Fleet fleet(port);
  const std::size_t renewing = clients / 2;
  const auto have = enrolled(port, fleet, renewing);
  const std::size_t first = fleet.made();
  auto requests = fleet.renewals(have);
  for (auto& one : fleet.enrolments(clients - renewing)) requests.push_back(std::move(one));
  const std::size_t before = certificates_in(daemon.database());

  std::vector<Device> devices(clients);
  for (std::size_t i = 0; i < clients; ++i) {
    devices[i].request = &requests[i];
    // The two kinds in turn, evenly over the time.
    const std::size_t place = i < renewing ? 2 * i : 2 * (i - renewing) + 1;
    devices[i].first = within * static_cast<double>(place) / static_cast<double>(clients);
  }
  const double cpu = process_cpu_seconds(daemon.pid());
  const double own_cpu = thread_cpu_seconds();
  Storm storm(port, devices);
  storm.run();
  const double took = storm.now();
  const double used = process_cpu_seconds(daemon.pid()) - cpu;
  const double own = thread_cpu_seconds() - own_cpu;

  std::vector<std::string> replies;
  for (Device& one : devices) replies.push_back(std::move(one.reply));
  std::set<umbra::x509::Serial> serials;
  std::size_t refused = 0;
  for (const auto& one : fleet.granted(replies, first)) {
    if (one) serials.insert(one->serial());
    refused += one ? 0 : 1;
  }
  const double peak = memory_mib(daemon.pid(), "VmHWM");
  daemon.end();
  const std::size_t stored = certificates_in(daemon.database()) - before;

  const std::span<const Device> all(devices);
  fmt::print("\na storm: {} devices within {} seconds, ip http max-wait {}\n\n", clients, within,
             max_wait);
  fmt::print("  {:<44}{:>10.1f} s\n", "all served after", took);
  fmt::print("  {:<44}{:>10.0f} /s\n", "certificates", static_cast<double>(clients) / took);
  fmt::print("  {:<44}{:>10}\n", "answers 503 with Retry-After", storm.put_off);
  fmt::print("  {:<44}{:>10}\n", "no answer (retried by plan)", storm.silent);
  fmt::print("  {:<44}{:>10}\n", "connections at once, at most", storm.open_max);
  fmt::print("  {:<44}{:>10.2f} ms\n", "server CPU per certificate",
             used * 1000 / static_cast<double>(clients));
  fmt::print("  {:<44}{:>10.2f} ms\n", "the devices' own, all of them in this program",
             own * 1000 / static_cast<double>(clients));
  fmt::print("  {:<44}{:>10.1f} MiB\n", "memory of the server, peak", peak);
  fmt::print("  {:<44}{:>10}\n\n", "different serial numbers, and rows stored",
             fmt::format("{}, {}", serials.size(), stored));
  fmt::print("  {:<18} {:>8} {:>12} {:>10} {:>10} {:>10} {:>12} {:>10}\n", "seconds", "devices",
             "at once", "until p50", "p99", "the last", "its answer", "p99");
  print_group("renewals", all.first(renewing));
  print_group("first enrolments", all.subspan(renewing));
  if (refused != 0) stop(fmt::format("{} answers hold no certificate for who asked", refused));
  if (serials.size() != clients || stored != clients)
    stop("not every device has one certificate, and one alone");
  if (storm.silent != 0) stop("devices were left without an answer");
  return 0;
}
