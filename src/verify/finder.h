#pragma once

#include <map>
#include <mutex>

#include "store/examiner.h"
#include "verify/verify.h"
#include "x509/certificate.h"

namespace umbra::verify {

constexpr const char* remedy_restore =
    "restore the newest backup that verifies (umbra restore); keep this copy for whoever looks "
    "into it";

/// Takes findings, from several threads.
class Finder {
 public:
  explicit Finder(Report& report) : report_(report) {}
  void error(const char* rule, std::string where, std::string what,
             std::string remedy = remedy_restore) {
    add({Grade::error, rule, std::move(where), std::move(what), std::move(remedy)});
  }
  void warning(const char* rule, std::string where, std::string what, std::string remedy) {
    add({Grade::warning, rule, std::move(where), std::move(what), std::move(remedy)});
  }
  /// A row or table that cannot be read.
  void damaged(const std::string& where, const std::string& what) { error("damage", where, what); }
  [[nodiscard]] store::Examiner::Damaged damage() {
    return [this](const std::string& where, const std::string& what) { damaged(where, what); };
  }
  /// A table that ends too soon.
  bool read(const std::string& where, const Result<void>& result) {
    if (!result) damaged(where, result.error().detail);
    return result.has_value();
  }

 private:
  void add(Finding finding) {
    const std::lock_guard lock(mutex_);
    ++(finding.grade == Grade::error ? report_.errors : report_.warnings);
    if (++of_rule_[finding.rule] > of_a_rule_max) {
      ++report_.left_out;
    } else {
      report_.findings.push_back(std::move(finding));
    }
  }
  Report& report_;
  std::mutex mutex_;
  std::map<std::string, std::size_t> of_rule_;
};

/// Opens a key if there is a passphrase, and holds it against its certificate.
void check_key(Finder& finder, Report& report, const Options& options, const std::string& where,
               ByteView sealed, const x509::Certificate* certificate);

/// One certificate server. `upper` = what its trustpoint, if it has one, knows of CAs above it.
void check_server(store::Examiner& store, const std::string& name,
                  const std::vector<x509::Certificate>& upper, const Options& options,
                  Finder& finder, Report& report);

}  // namespace umbra::verify
