#include "io/http_client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

namespace umbra::io {
namespace {

constexpr long connect_seconds = 10;
// Of an agent with ten thousand trustpoints the others wait their turn, rather than run out of
// files.
constexpr std::size_t calls_at_once_max = 256;
// Whoever brings a call wakes the thread.
constexpr int busy_ms = 1000;
constexpr int idle_ms = 24 * 3600 * 1000;

struct Exchange {
  HttpCall call;
  HttpAnswered answered;
  Bytes body;
  bool too_large = false;
  curl_slist* headers = nullptr;
  std::string refused;  ///< why the socket could not be bound to the VRF
};

int bind_to_vrf(void* user, curl_socket_t socket, curlsocktype) {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::string& device = exchange.call.vrf;
  if (::setsockopt(socket, SOL_SOCKET, SO_BINDTODEVICE, device.c_str(),
                   static_cast<socklen_t>(device.size())) == 0)
    return CURL_SOCKOPT_OK;
  exchange.refused = fmt::format("VRF {}: {}", device, std::strerror(errno));
  return CURL_SOCKOPT_ERROR;
}

std::size_t take(char* data, std::size_t, std::size_t size, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  if (exchange.body.size() + size > exchange.call.reply_octets_max) {
    exchange.too_large = true;
    return 0;
  }
  exchange.body.insert(exchange.body.end(), data, data + size);
  return size;
}

/// Its seconds since 1970; nothing without such a header, or if it is no date.
std::optional<std::int64_t> date_in(CURL* easy, const char* name) {
  curl_header* header = nullptr;
  if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return std::nullopt;
  const std::time_t seconds = curl_getdate(header->value, nullptr);
  if (seconds <= 0) return std::nullopt;
  return std::int64_t{seconds};
}

/// RFC 9110 10.2.3: a number of seconds, or a date. That is by the server's clock, which the
/// reply's own Date tells; one that is over means now.
std::optional<std::chrono::seconds> retry_after_of(CURL* easy) {
  curl_header* header = nullptr;
  if (curl_easy_header(easy, "Retry-After", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
    return std::nullopt;
  const std::string_view text = header->value;
  if (text.find(':') != std::string_view::npos) {
    const auto at = date_in(easy, "Retry-After");
    const auto now = date_in(easy, "Date");
    if (!at || !now) return std::nullopt;
    return std::chrono::seconds{std::max<std::int64_t>(*at - *now, 0)};
  }
  std::uint32_t seconds = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
  return std::chrono::seconds{seconds};
}

}  // namespace

class CurlTransport::Loop {
 public:
  Loop() : multi_(curl_multi_init()), thread_([this] { run(); }) {}
  ~Loop() {
    stop();
    curl_multi_cleanup(multi_);
  }

  void send(HttpCall call, HttpAnswered answered) {
    auto exchange = std::make_unique<Exchange>();
    exchange->call = std::move(call);
    exchange->answered = std::move(answered);
    {
      const std::lock_guard lock(mutex_);
      if (!stopping_) {
        waiting_.push_back(std::move(exchange));
        curl_multi_wakeup(multi_);
        return;
      }
    }
    exchange->answered(fail(Errc::unreachable, "the process is stopping"));
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      curl_multi_wakeup(multi_);
    }
    if (thread_.joinable()) thread_.join();
  }

 private:
  void run() {
    for (;;) {
      std::vector<std::unique_ptr<Exchange>> fresh;
      {
        const std::lock_guard lock(mutex_);
        if (stopping_) break;
        while (!waiting_.empty() && running_.size() + fresh.size() < calls_at_once_max) {
          fresh.push_back(std::move(waiting_.front()));
          waiting_.pop_front();
        }
      }
      for (auto& exchange : fresh) begin(std::move(exchange));
      int running = 0;
      curl_multi_perform(multi_, &running);
      int left = 0;
      bool finished = false;
      while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        finish(message->easy_handle, message->data.result);
        finished = true;
      }
      if (finished && others_wait()) continue;
      curl_multi_poll(multi_, nullptr, 0, running_.empty() ? idle_ms : busy_ms, nullptr);
    }
    while (!running_.empty()) finish(running_.begin()->first, CURLE_ABORTED_BY_CALLBACK);
    for (auto& exchange : waiting_)
      exchange->answered(fail(Errc::unreachable, "the process is stopping"));
    waiting_.clear();
  }

  bool others_wait() {
    const std::lock_guard lock(mutex_);
    return !waiting_.empty();
  }

  void begin(std::unique_ptr<Exchange> exchange) {
    CURL* const easy = curl_easy_init();
    Exchange& e = *exchange;
    curl_easy_setopt(easy, CURLOPT_URL, e.call.url.c_str());
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, connect_seconds);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, static_cast<long>(e.call.patience.count()));
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "umbra");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &take);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &e);
    // An interface by its name alone would be any host of that name as well.
    const std::string& source = e.call.source;
    if (!source.empty()) {
      std::uint8_t address[sizeof(in6_addr)];
      const bool is_address = ::inet_pton(AF_INET, source.c_str(), address) == 1 ||
                              ::inet_pton(AF_INET6, source.c_str(), address) == 1;
      curl_easy_setopt(easy, CURLOPT_INTERFACE, ((is_address ? "host!" : "if!") + source).c_str());
    }
    if (!e.call.vrf.empty()) {
      curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, &bind_to_vrf);
      curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, &e);
      // A connection that is kept is known by address and port alone, which may be somebody else's
      // in another VRF: none is used again, neither here nor by those without one.
      curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
      curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
      curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    }
    if (e.call.method == "POST") {
      curl_easy_setopt(easy, CURLOPT_POST, 1L);
      curl_easy_setopt(easy, CURLOPT_POSTFIELDS, reinterpret_cast<const char*>(e.call.body.data()));
      curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(e.call.body.size()));
      e.headers = curl_slist_append(e.headers,
                                    fmt::format("Content-Type: {}", e.call.content_type).c_str());
      e.headers = curl_slist_append(e.headers, "Expect:");
      curl_easy_setopt(easy, CURLOPT_HTTPHEADER, e.headers);
    }
    running_.emplace(easy, std::move(exchange));
    curl_multi_add_handle(multi_, easy);
  }

  void finish(CURL* easy, CURLcode result) {
    const auto found = running_.find(easy);
    const std::unique_ptr<Exchange> exchange = std::move(found->second);
    running_.erase(found);
    long status = 0;
    char* type = nullptr;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    HttpReply reply{static_cast<unsigned>(status), type != nullptr ? type : "",
                    std::move(exchange->body)};
    reply.retry_after = retry_after_of(easy);
    curl_multi_remove_handle(multi_, easy);
    curl_easy_cleanup(easy);
    curl_slist_free_all(exchange->headers);
    if (result == CURLE_OK) return exchange->answered(std::move(reply));
    std::string why = curl_easy_strerror(result);
    if (exchange->too_large)
      why = fmt::format("the reply is larger than {} MiB", exchange->call.reply_octets_max >> 20);
    if (!exchange->refused.empty()) why = exchange->refused;
    if (result == CURLE_INTERFACE_FAILED)
      why = fmt::format("source interface {}: this host has no such interface or address",
                        exchange->call.source);
    exchange->answered(fail(
        Errc::unreachable,
        fmt::format("{}: {}", exchange->call.url.substr(0, exchange->call.url.find('?')), why)));
  }

  CURLM* multi_;
  std::mutex mutex_;
  std::deque<std::unique_ptr<Exchange>> waiting_;
  bool stopping_ = false;
  std::unordered_map<CURL*, std::unique_ptr<Exchange>> running_;  ///< the thread's own
  std::thread thread_;
};

CurlTransport::CurlTransport() {
  static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(once);
  loop_ = std::make_unique<Loop>();
}
CurlTransport::~CurlTransport() = default;
void CurlTransport::send(HttpCall call, HttpAnswered answered) {
  loop_->send(std::move(call), std::move(answered));
}
void CurlTransport::stop() { loop_->stop(); }

}  // namespace umbra::io
