#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "audit/chain.h"
#include "base/log.h"
#include "base/time.h"
#include "store/store.h"
#include "x509/key.h"

namespace umbra::io {

/// DATA/audit.log: what was done, by whom, as lines that hold each other fast.
///
/// A line is written before what it tells is committed: whoever is killed has told more than he
/// did, never less. It is on the disk within a second (`rest`), which is also when the database
/// learns how far the log reaches; and it is signed by the CAs when there is something new, at
/// least every hour and every thousand lines, at each switch-over and in the end.
class AuditLog {
 public:
  /// A CA that can sign now.
  struct Signer {
    std::string server;
    std::uint32_t generation = 1;
    x509::PrivateKey key;
  };
  /// `before`: also those that were active before the present ones.
  using Signers = std::function<std::vector<Signer>(bool before)>;
  /// Takes away what a process that died left half written, and tells so in a line. Errors:
  /// storage.
  [[nodiscard]] static Result<std::unique_ptr<AuditLog>> open(const std::string& directory,
                                                              const Clock& clock, Log& log,
                                                              store::Store& store);
  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  /// Whole lines, or none. Errors: storage; what they tell must not be done then.
  [[nodiscard]] Result<void> append(const std::vector<audit::Event>& events);
  /// From now on; asked with no lock held.
  void sign_with(Signers signers);
  /// Soon, with the CAs before the present ones too: one has taken over from another.
  void switched();
  /// Signs, and brings all to the disk. Nothing is signed afterwards.
  void stop();

 private:
  AuditLog(int file, std::string path, const Clock& clock, Log& log, store::Store& store)
      : file_(file), path_(std::move(path)), clock_(clock), log_(log), store_(store) {}
  [[nodiscard]] Result<void> recover();
  [[nodiscard]] Result<void> append_locked(const std::vector<audit::Event>& events);
  void run();
  void sign(bool before);
  void settle();
  void complain(const std::string& what);

  const int file_;
  const std::string path_;
  const Clock& clock_;
  Log& log_;
  store::Store& store_;
  std::mutex mutex_;  ///< guards what follows
  std::condition_variable wake_;
  audit::Head head_;
  std::uint64_t size_ = 0;     ///< of the file
  std::uint64_t settled_ = 0;  ///< the last line that is on the disk, and the database knows of
  std::uint64_t signed_to_ = 0;
  bool broken_ = false;  ///< what was written in part could not be taken away again
  bool idle_ = false;    ///< the thread sleeps until it is woken
  bool switched_ = false;
  bool stopping_ = false;
  std::chrono::steady_clock::time_point signed_at_ = std::chrono::steady_clock::now();
  Signers signers_;
  std::thread thread_;
};

/// A store of which the log tells what is done to it.
[[nodiscard]] std::unique_ptr<store::Store> audited(std::unique_ptr<store::Store> store,
                                                    AuditLog& log);

/// Tells the log what of these lines is a change: of the configuration, starts and ends.
class AuditedLog final : public Log {
 public:
  explicit AuditedLog(Log& real) : real_(real) {}
  void event(const LogEvent& event) override;
  void debug(std::string_view category, std::string_view text) override {
    real_.debug(category, text);
  }
  [[nodiscard]] bool debugs(std::string_view category) const override {
    return real_.debugs(category);
  }
  /// Nothing: no longer.
  void tell(AuditLog* audit);

 private:
  Log& real_;
  std::mutex mutex_;
  AuditLog* audit_ = nullptr;
};

/// `umbra audit verify`. Errors: what cannot even be opened.
[[nodiscard]] Result<std::string> verify_audit(const std::string& data_directory, bool json,
                                               bool& unbroken);

}  // namespace umbra::io
