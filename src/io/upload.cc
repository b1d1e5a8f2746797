#include "io/upload.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>

namespace umbra::io {
namespace {

constexpr long connect_seconds = 10;
constexpr long idle_seconds = 30;
constexpr long total_seconds = 600;  // a CRL of a million entries over a slow line

constexpr std::size_t answer_octets_max = std::size_t{1} << 20;

enum class Protocol { ftp, sftp, tftp, http };

struct Target {
  Protocol protocol;
  std::string scheme;  ///< all that libcurl may speak
  std::string folder;  ///< URL, with a slash at the end
};

/// scp is spoken as OpenSSH's scp speaks it, by SFTP: the older protocol does not tell whether a
/// file was written.
Target target_of(const std::string& url) {
  const std::size_t colon = url.find(':');
  std::string scheme = url.substr(0, colon);
  for (char& c : scheme) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  if (scheme == "scp") scheme = "sftp";
  const Protocol protocol = scheme == "ftp"    ? Protocol::ftp
                            : scheme == "sftp" ? Protocol::sftp
                            : scheme == "tftp" ? Protocol::tftp
                                               : Protocol::http;
  return {protocol, scheme, scheme + url.substr(colon) + (url.ends_with('/') ? "" : "/")};
}

struct List {
  ~List() { curl_slist_free_all(first); }
  List() = default;
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  void add(const std::string& text) { first = curl_slist_append(first, text.c_str()); }
  curl_slist* first = nullptr;
};

struct Source {
  ByteView left;
  ByteView all;
};

std::size_t give(char* out, std::size_t size, std::size_t count, void* user) {
  auto& source = *static_cast<Source*>(user);
  const std::size_t taken = std::min(size * count, source.left.size());
  std::copy_n(source.left.begin(), taken, out);
  source.left = source.left.subspan(taken);
  return taken;
}

int rewind(void* user, curl_off_t offset, int origin) {
  auto& source = *static_cast<Source*>(user);
  if (origin != SEEK_SET || offset < 0 || static_cast<std::size_t>(offset) > source.all.size())
    return CURL_SEEKFUNC_FAIL;
  source.left = source.all.subspan(static_cast<std::size_t>(offset));
  return CURL_SEEKFUNC_OK;
}

/// What a server says besides is not read, and not for ever.
std::size_t ignore(char*, std::size_t size, std::size_t count, void* user) {
  auto& heard = *static_cast<std::size_t*>(user);
  heard += size * count;
  return heard > answer_octets_max ? CURL_WRITEFUNC_ERROR : size * count;
}

/// libcurl says how long it took: a fault that lasts would be another one, and logged, at each try.
std::string without_time_taken(std::string text) {
  constexpr std::string_view after = " after ";
  constexpr std::string_view unit = " ms";
  const std::size_t from = text.find(after);
  if (from == std::string::npos) return text;
  const std::size_t end = text.find_first_not_of("0123456789", from + after.size());
  if (end == std::string::npos || text.compare(end, unit.size(), unit) != 0) return text;
  return text.erase(from, end + unit.size() - from);
}

using Steady = std::chrono::steady_clock;

bool is_over(const std::atomic<Steady::rep>& end) {
  return Steady::now().time_since_epoch().count() >= end;
}

/// When whoever waits for a transfer does so no longer.
struct Patience {
  const std::atomic<Steady::rep>& end;
  const std::atomic<bool>* give_up = nullptr;
  [[nodiscard]] bool is_at_an_end() const {
    return is_over(end) || (give_up != nullptr && *give_up);
  }
};

int stop_if(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const Patience*>(user)->is_at_an_end() ? 1 : 0;
}

/// What std::timed_mutex is, by calls that ThreadSanitizer knows: of pthread_mutex_clocklock it
/// sees the unlocking alone (GCC 12).
class Turn {
 public:
  bool try_lock_for(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    if (!free_.wait_for(lock, patience, [this] { return !taken_; })) return false;
    return taken_ = true;
  }
  void unlock() {
    {
      const std::lock_guard lock(mutex_);
      taken_ = false;
    }
    free_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable free_;
  bool taken_ = false;
};

}  // namespace

/// One place's connection.
class Upload::Session {
 public:
  Session(const config::FilePlace& place, const UploadTrust& trust, std::atomic<Steady::rep>& end)
      : place_(place),
        trust_(trust),
        target_(target_of(place.url)),
        patience_{end},
        easy_(curl_easy_init()) {
    prepare();
  }
  ~Session() { curl_easy_cleanup(easy_); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  server::Delivery send(const std::vector<server::PublishedFile>& files,
                        const std::atomic<bool>& give_up) {
    // Two servers may have the same place; who waits for the other one's may give up as well.
    std::unique_lock lock(turn_, std::defer_lock);
    while (!lock.try_lock_for(std::chrono::milliseconds(100))) {
      if (Patience{patience_.end, &give_up}.is_at_an_end())
        return {0, Error{Errc::unreachable, "the process is stopping"}};
    }
    patience_.give_up = &give_up;
    server::Delivery delivery;
    for (const auto& file : files) {
      if (patience_.is_at_an_end()) {
        delivery.error = Error{Errc::unreachable, "the process is stopping"};
        break;
      }
      if ((delivery.error = send(file))) break;
      ++delivery.done;
    }
    return delivery;
  }

 private:
  void prepare() {
    const auto set = [this](CURLoption option, auto value) {
      curl_easy_setopt(easy_, option, value);
    };
    set(CURLOPT_PROTOCOLS_STR, target_.scheme.c_str());
    set(CURLOPT_PROXY, "");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_USERAGENT, "umbra");
    set(CURLOPT_CONNECTTIMEOUT, connect_seconds);
    set(CURLOPT_SERVER_RESPONSE_TIMEOUT, idle_seconds);
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, idle_seconds);
    set(CURLOPT_TIMEOUT, total_seconds);
    set(CURLOPT_UPLOAD, 1L);
    set(CURLOPT_READFUNCTION, &give);
    set(CURLOPT_SEEKFUNCTION, &rewind);
    set(CURLOPT_WRITEFUNCTION, &ignore);
    set(CURLOPT_WRITEDATA, &heard_);
    set(CURLOPT_ERRORBUFFER, text_);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &stop_if);
    set(CURLOPT_XFERINFODATA, &patience_);
    if (!place_.username.empty()) set(CURLOPT_USERNAME, place_.username.c_str());
    if (place_.password) set(CURLOPT_PASSWORD, place_.password->c_str());
    switch (target_.protocol) {
      case Protocol::http:
        set(CURLOPT_FAILONERROR, 1L);
        set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
        if (::access(trust_.authorities.c_str(), F_OK) == 0)
          set(CURLOPT_CAINFO, trust_.authorities.c_str());
        break;
      case Protocol::sftp:
        set(CURLOPT_SSH_KNOWNHOSTS, trust_.known_hosts.c_str());
        set(CURLOPT_SSH_KEYFUNCTION, &Session::host_key);
        set(CURLOPT_SSH_KEYDATA, this);
        if (place_.password) {
          set(CURLOPT_SSH_AUTH_TYPES,
              static_cast<long>(CURLSSH_AUTH_PASSWORD | CURLSSH_AUTH_KEYBOARD));
        } else {
          set(CURLOPT_SSH_AUTH_TYPES, static_cast<long>(CURLSSH_AUTH_PUBLICKEY));
          set(CURLOPT_SSH_PRIVATE_KEYFILE, trust_.ssh_key.c_str());
          set(CURLOPT_SSH_PUBLIC_KEYFILE, (trust_.ssh_key + ".pub").c_str());
        }
        break;
      case Protocol::ftp:
      case Protocol::tftp:
        break;
    }
  }

  /// A host that is not in the file, or has another key there, is not spoken to.
  static int host_key(CURL*, const curl_khkey*, const curl_khkey*, curl_khmatch match, void* user) {
    static_cast<Session*>(user)->host_ = match;
    return match == CURLKHMATCH_OK ? CURLKHSTAT_FINE : CURLKHSTAT_REJECT;
  }

  std::optional<Error> send(const server::PublishedFile& file) {
    CURLcode result = attempt(file, remove_first_);
    const bool renamed = target_.protocol == Protocol::ftp || target_.protocol == Protocol::sftp;
    if (renamed && result == CURLE_QUOTE_ERROR && !remove_first_) {
      // Some servers, OpenSSH's for one, rename to no name that is taken.
      result = attempt(file, true);
      remove_first_ = result == CURLE_OK;
    }
    if (result != CURLE_OK) return Error{Errc::unreachable, why(result)};
    if (target_.protocol == Protocol::http) {
      // Redirected elsewhere is not stored here.
      long status = 0;
      curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
      if (status < 200 || status > 299)
        return Error{Errc::unreachable, fmt::format("the server answered {}", status)};
    }
    return std::nullopt;
  }

  CURLcode attempt(const server::PublishedFile& file, bool remove_first) {
    const bool beside = target_.protocol == Protocol::ftp || target_.protocol == Protocol::sftp;
    const std::string written = file.name + (beside ? ".new" : "");
    List after;
    if (target_.protocol == Protocol::ftp) {
      if (remove_first) after.add("*DELE " + file.name);
      after.add("RNFR " + written);
      after.add("RNTO " + file.name);
    } else if (target_.protocol == Protocol::sftp) {
      const std::string folder = remote_folder(target_.folder);
      if (folder.find('"') != std::string::npos || folder.find('\\') != std::string::npos)
        return CURLE_URL_MALFORMAT;
      if (remove_first) after.add(fmt::format("*rm \"{}{}\"", folder, file.name));
      after.add(fmt::format("rename \"{0}{1}\" \"{0}{2}\"", folder, written, file.name));
    }
    Source source{file.content, file.content};
    text_[0] = '\0';
    heard_ = 0;
    host_ = CURLKHMATCH_OK;
    curl_easy_setopt(easy_, CURLOPT_URL, (target_.folder + written).c_str());
    curl_easy_setopt(easy_, CURLOPT_READDATA, &source);
    curl_easy_setopt(easy_, CURLOPT_SEEKDATA, &source);
    curl_easy_setopt(easy_, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(source.all.size()));
    curl_easy_setopt(easy_, CURLOPT_POSTQUOTE, after.first);
    const CURLcode result = curl_easy_perform(easy_);
    curl_easy_setopt(easy_, CURLOPT_POSTQUOTE, nullptr);
    return result;
  }

  /// The path of a URL as the sftp server knows it: absolute, or behind /~/ from the account's own
  /// folder.
  std::string remote_folder(const std::string& base) const {
    const std::string encoded = base.substr(base.find('/', base.find("//") + 2));
    int size = 0;
    char* const decoded =
        curl_easy_unescape(easy_, encoded.c_str(), static_cast<int>(encoded.size()), &size);
    std::string path =
        decoded == nullptr ? encoded : std::string(decoded, static_cast<std::size_t>(size));
    curl_free(decoded);
    return path.starts_with("/~/") ? path.substr(3) : path;
  }

  std::string why(CURLcode result) const {
    if (result == CURLE_ABORTED_BY_CALLBACK) return "the process is stopping";
    if (result == CURLE_WRITE_ERROR && heard_ > answer_octets_max)
      return "what the server answers does not end";
    if (result == CURLE_OPERATION_TIMEDOUT) return "the server did not answer in time";
    const std::string said =
        without_time_taken(text_[0] != '\0' ? text_ : curl_easy_strerror(result));
    const bool ssh = target_.protocol == Protocol::sftp;
    if (ssh && result == CURLE_PEER_FAILED_VERIFICATION) {
      if (host_ == CURLKHMATCH_MISMATCH) {
        return fmt::format(
            "the host's key is not the one in {}: another host answers, or its key was replaced; "
            "nothing was sent",
            trust_.known_hosts);
      }
      return fmt::format(
          "the host is not in {}; add its line there (ssh-keyscan prints it) after comparing its "
          "fingerprint; nothing was sent",
          trust_.known_hosts);
    }
    if (ssh && result == CURLE_LOGIN_DENIED && !place_.password)
      return fmt::format(
          "the host does not take the key in {} for {}: {}", trust_.ssh_key,
          place_.username.empty() ? "nobody (no username is configured)" : place_.username, said);
    if (ssh && result == CURLE_SSH)
      return "the host did not take the file; a full disk looks like this (" + said + ")";
    if (ssh && result == CURLE_REMOTE_FILE_NOT_FOUND)
      return "the folder is not there, or the account may not write to it: " + said;
    return said;
  }

  const config::FilePlace place_;
  const UploadTrust& trust_;
  const Target target_;
  Patience patience_;
  Turn turn_;
  CURL* const easy_;
  char text_[CURL_ERROR_SIZE] = {};
  std::size_t heard_ = 0;
  curl_khmatch host_ = CURLKHMATCH_OK;
  bool remove_first_ = false;
};

Upload::Upload(UploadTrust trust)
    : trust_(std::move(trust)), end_(Steady::time_point::max().time_since_epoch().count()) {
  static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(once);
}
Upload::~Upload() = default;

void Upload::finish_within(std::chrono::seconds grace) {
  end_ = (Steady::now() + grace).time_since_epoch().count();
}

Upload::Session& Upload::session(const config::FilePlace& place) {
  const std::lock_guard lock(mutex_);
  auto& session = sessions_[place];
  if (!session) session = std::make_unique<Session>(place, trust_, end_);
  return *session;
}

server::Delivery Upload::send(const config::FilePlace& place,
                              const std::vector<server::PublishedFile>& files,
                              const std::atomic<bool>& give_up) {
  return session(place).send(files, give_up);
}

}  // namespace umbra::io
