#include "io/audit_log.h"

#include <sys/stat.h>

#include <algorithm>

#include "audit/events.h"
#include "io/descriptor.h"
#include "store/forwarding_store.h"

namespace umbra::io {
namespace {

constexpr std::chrono::seconds rest{1};
constexpr std::chrono::hours unsigned_at_most{1};
constexpr std::uint64_t lines_unsigned_max = 1000;
constexpr std::uint64_t tail_octets = std::uint64_t{4} << 20U;  // longer than any line

class AuditedStore final : public store::ForwardingStore {
 public:
  AuditedStore(std::unique_ptr<store::Store> real, AuditLog& log)
      : ForwardingStore(std::move(real)), log_(log) {}

  using Store::commit;
  void commit(store::Batch batch, store::Committed done, store::Wake wake) override {
    const auto events = audit::events_of(batch);
    if (events.empty()) return real_->commit(std::move(batch), std::move(done), wake);
    if (auto told = log_.append(events); !told) {
      // Who waits is told by the thread that tells everybody: nothing is committed.
      return real_->commit(
          {},
          [done = std::move(done), why = told.error()](const Result<void>&) {
            done(tl::unexpected(why));
          },
          wake);
    }
    const bool switches = audit::switches(batch);
    real_->commit(
        std::move(batch),
        [this, switches, first = events.front(), done = std::move(done)](Result<void> result) {
          if (!result) {
            audit::Event undone{"NOT-DONE", first.fields};
            undone.fields.insert(undone.fields.begin(), {"event", first.name});
            undone.fields.emplace_back("error", result.error().detail);
            static_cast<void>(log_.append({std::move(undone)}));
          } else if (switches) {
            log_.switched();
          }
          done(std::move(result));
        },
        wake);
  }

 private:
  AuditLog& log_;
};

/// The event of a line of the log that tells of a change, if it does.
const char* event_of(const LogEvent& event) {
  constexpr std::pair<std::string_view, const char*> changes[] = {{"CFGLOG_LOGGEDCMD", "CONFIGURE"},
                                                                  {"CONFIG_I", "CONFIGURED"},
                                                                  {"RELOAD", "RELOAD"},
                                                                  {"SAVED", "SAVE"},
                                                                  {"STARTED", "START"},
                                                                  {"STOPPING", "STOP"}};
  for (const auto& [mnemonic, name] : changes) {
    if (event.mnemonic == mnemonic) return name;
  }
  return nullptr;
}

}  // namespace

std::unique_ptr<store::Store> audited(std::unique_ptr<store::Store> store, AuditLog& log) {
  return std::make_unique<AuditedStore>(std::move(store), log);
}

void AuditedLog::event(const LogEvent& event) {
  real_.event(event);
  const char* const name = event_of(event);
  if (name == nullptr) return;
  const std::lock_guard lock(mutex_);
  if (audit_ == nullptr) return;
  if (const auto told = audit_->append({{name, {{"text", event.text}}}}); !told)
    real_.event({Severity::alert, "AUDIT", told.error().detail, "UMBRA"});
}

void AuditedLog::tell(AuditLog* audit) {
  const std::lock_guard lock(mutex_);
  audit_ = audit;
}

Result<std::unique_ptr<AuditLog>> AuditLog::open(const std::string& directory, const Clock& clock,
                                                 Log& log, store::Store& store) {
  const std::string path = directory + "/audit.log";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return os_failed("open", path);
  std::unique_ptr<AuditLog> audit(new AuditLog(file, path, clock, log, store));
  UMBRA_CHECK(audit->recover());
  audit->thread_ = std::thread([one = audit.get()] { one->run(); });
  return audit;
}

AuditLog::~AuditLog() {
  stop();
  ::close(file_);
}

Result<void> AuditLog::recover() {
  struct stat found {};
  if (::fstat(file_, &found) != 0) return os_failed("look at", path_);
  size_ = static_cast<std::uint64_t>(found.st_size);
  const std::uint64_t from = size_ - std::min(size_, tail_octets);
  Bytes octets(static_cast<std::size_t>(size_ - from));
  for (std::size_t at = 0; at < octets.size();) {
    const ssize_t got =
        ::pread(file_, octets.data() + at, octets.size() - at, static_cast<off_t>(from + at));
    if (got <= 0) return os_failed("read", path_);
    at += static_cast<std::size_t>(got);
  }
  std::string_view tail = as_text(octets);
  std::vector<audit::Event> said;
  const std::size_t end = tail.rfind('\n') + 1;  // 0 if there is none
  if (const std::size_t torn = tail.size() - end; torn != 0) {
    if (::ftruncate(file_, static_cast<off_t>(size_ - torn)) != 0)
      return os_failed("take a half line from", path_);
    size_ -= torn;
    said.push_back({"TORN", {{"octets", std::to_string(torn)}}});
  }
  UMBRA_TRY(const auto known, store_.audit_head());
  std::string gap;
  if (end != 0) {
    tail = tail.substr(0, end - 1);
    const std::size_t before = tail.rfind('\n');
    const auto last =
        audit::parse(before == std::string_view::npos ? tail : tail.substr(before + 1));
    if (last) {
      head_ = {last->number, last->hash};
    } else {
      gap = "the last line cannot be read: " + last.error().detail;
      if (known) head_ = {known->number, known->hash};
    }
  }
  if (known && gap.empty() &&
      (head_.number < known->number ||
       (head_.number == known->number && head_.hash != known->hash))) {
    gap = fmt::format("it ends with line {}, and the database knows of line {} {}", head_.number,
                      known->number, known->hash);
  }
  settled_ = signed_to_ = head_.number;
  if (!gap.empty()) {
    log_.event({Severity::alert, "AUDIT",
                fmt::format("{}: {}; it goes on all the same, and "
                            "`umbra audit verify` tells it from now on",
                            path_, gap),
                "UMBRA"});
    said.push_back({"GAP", {{"why", gap}}});
  }
  return said.empty() ? Result<void>() : append(said);
}

Result<void> AuditLog::append(const std::vector<audit::Event>& events) {
  const std::lock_guard lock(mutex_);
  return append_locked(events);
}

Result<void> AuditLog::append_locked(const std::vector<audit::Event>& events) {
  const auto refused = [this](const std::string& why) {
    return fail(Errc::storage, fmt::format("{}; without its line in the audit log nothing is done: "
                                           "free space and access to {} are what to look at",
                                           why, path_));
  };
  if (broken_) return refused(path_ + " ends in the middle of a line; restart umbrad");
  audit::Head head = head_;
  std::string lines;
  const Instant now = clock_.now();
  for (const auto& event : events) lines += audit::next_line(head, now, event);
  if (const auto written = write_whole(file_, as_bytes(lines), path_); !written) {
    // A part of it may be there.
    broken_ = ::ftruncate(file_, static_cast<off_t>(size_)) != 0;
    return refused(written.error().detail);
  }
  size_ += lines.size();
  head_ = std::move(head);
  if (idle_) wake_.notify_one();  // else it comes by itself, within a second
  return {};
}

void AuditLog::sign_with(Signers signers) {
  const std::lock_guard lock(mutex_);
  signers_ = std::move(signers);
}

void AuditLog::switched() {
  const std::lock_guard lock(mutex_);
  switched_ = true;
  wake_.notify_one();
}

void AuditLog::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void AuditLog::complain(const std::string& what) {
  log_.event({Severity::alert, "AUDIT", what, "UMBRA"});
}

/// Sleeps while there is nothing to do; gathers for a second what there is.
void AuditLog::run() {
  std::unique_lock lock(mutex_);
  for (bool last = false; !last;) {
    const auto unsettled = [this] { return stopping_ || head_.number > settled_; };
    const bool to_sign = signers_ && head_.number > signed_to_;
    idle_ = true;
    if (to_sign) {
      wake_.wait_until(lock, signed_at_ + unsigned_at_most, unsettled);
    } else {
      wake_.wait(lock, unsettled);
    }
    idle_ = false;
    wake_.wait_for(lock, rest, [this] { return stopping_; });
    last = stopping_;
    const bool before = std::exchange(switched_, false);
    const bool due = last || before || head_.number - signed_to_ >= lines_unsigned_max ||
                     std::chrono::steady_clock::now() - signed_at_ >= unsigned_at_most;
    const bool sign_now = due && head_.number > signed_to_;
    lock.unlock();
    if (sign_now) sign(before);
    settle();
    lock.lock();
  }
}

void AuditLog::sign(bool before) {
  Signers signers;
  {
    const std::lock_guard lock(mutex_);
    signers = signers_;
  }
  if (!signers) return;
  const auto all = signers(before);
  const std::lock_guard lock(mutex_);
  for (const Signer& one : all) {
    // The line before the signature's own: nothing comes between.
    const auto octets = one.key.sign(x509::Digest::sha256, as_bytes(audit::statement(head_)));
    if (!octets) {
      complain(fmt::format("{} cannot sign the audit log: {}", one.server, octets.error().detail));
      continue;
    }
    if (const auto put =
            append_locked({audit::signed_event({one.server, one.generation, *octets})});
        !put) {
      complain(put.error().detail);
    }
  }
  signed_to_ = head_.number;
  signed_at_ = std::chrono::steady_clock::now();
}

void AuditLog::settle() {
  audit::Head head;
  {
    const std::lock_guard lock(mutex_);
    if (head_.number == settled_) return;
    head = head_;
  }
  Result<void> done;
  if (::fdatasync(file_) != 0) done = os_failed("sync", path_);
  if (done) done = store_.commit({store::PutAuditHead{{head.number, head.hash}}});
  if (!done) complain(done.error().detail);
  // Not tried again before there is something new: the disk says the same to everybody.
  const std::lock_guard lock(mutex_);
  settled_ = head.number;
}

}  // namespace umbra::io
