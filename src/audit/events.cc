#include "audit/events.h"

#include <fmt/format.h>

#include <algorithm>

#include "x509/algorithm.h"

namespace umbra::audit {
namespace {

std::string serial(const x509::Serial& number) { return "0x" + number.to_hex(); }
std::string digest(const Bytes& der) { return to_hex(x509::hash(x509::Digest::sha256, der)); }

const char* name_of(store::RequestClass is) {
  switch (is) {
    case store::RequestClass::subordinate_ca:
      return "subordinate-ca";
    case store::RequestClass::ra:
      return "ra";
    case store::RequestClass::router:
      return "router";
  }
  return "router";
}

const char* name_of(store::RequestState state) {
  switch (state) {
    case store::RequestState::pending:
      return "PEND";
    case store::RequestState::granted:
      return "GRANT";
    case store::RequestState::rejected:
      return "REJECT";
    case store::RequestState::authorized:
      return "AUTHORIZE";
    case store::RequestState::forwarded:
      return "FORWARD";
  }
  return "REQUEST";
}

const char* name_of(store::GenerationStatus status) {
  switch (status) {
    case store::GenerationStatus::rollover:
      return "CA-NEXT";
    case store::GenerationStatus::active:
      return "CA-ACTIVE";
    case store::GenerationStatus::retired:
      return "CA-RETIRED";
  }
  return "CA";
}

std::string reason(x509::RevocationReason why) {
  return why == x509::RevocationReason::none ? "none" : std::to_string(static_cast<unsigned>(why));
}

struct Describe {
  std::vector<Event>& out;

  void operator()(const store::InsertCertificate& change) const {
    const auto& row = change.row;
    out.push_back({"ISSUE",
                   {{"server", row.server},
                    {"serial", serial(row.serial)},
                    {"subject", row.subject},
                    {"class", name_of(row.granted_as)},
                    {"generation", std::to_string(row.generation)},
                    {"not-after", to_rfc3339(row.not_after)},
                    {"transaction", row.transaction_id},
                    {"sha256", digest(row.certificate)}}});
  }
  void operator()(const store::RevokeCertificate& change) const {
    out.push_back({"REVOKE",
                   {{"server", change.server},
                    {"serial", serial(change.serial)},
                    {"reason", reason(change.reason)}}});
  }
  void operator()(const store::RestoreCertificate& change) const {
    out.push_back({"UNREVOKE", {{"server", change.server}, {"serial", serial(change.serial)}}});
  }
  void operator()(const store::RevokeGeneration& change) const {
    out.push_back({"REVOKE-ALL",
                   {{"server", change.server},
                    {"generation", std::to_string(change.number)},
                    {"reason", reason(change.reason)}}});
  }
  void operator()(const store::PutRequest& change) const {
    const auto& row = change.row;
    Event event{name_of(row.state),
                {{"server", row.server},
                 {"request", std::to_string(row.id)},
                 {"class", name_of(row.request_class)},
                 {"transaction", row.transaction_id},
                 {"sha256", digest(row.request)}}};
    if (row.granted_serial) event.fields.emplace_back("serial", serial(*row.granted_serial));
    if (!row.refusal_text.empty()) event.fields.emplace_back("why", row.refusal_text);
    out.push_back(std::move(event));
  }
  void operator()(const store::DropRequest& change) const {
    out.push_back({"REMOVE", {{"server", change.server}, {"request", std::to_string(change.id)}}});
  }
  void operator()(const store::PutGeneration& change) const {
    const auto& row = change.row;
    out.push_back({name_of(row.status),
                   {{"server", row.server},
                    {"generation", std::to_string(row.number)},
                    {"sha256", digest(row.certificate)}}});
  }
  void operator()(const store::DropGeneration& change) const {
    out.push_back({"CA-TAKEN-BACK",
                   {{"server", change.server}, {"generation", std::to_string(change.number)}}});
  }
  void operator()(const store::DropServer& change) const {
    out.push_back({"DESTROY", {{"server", change.server}}});
  }
  void operator()(const store::PutOneTimePassword& change) const {
    out.push_back({"PASSWORD",
                   {{"server", change.row.server}, {"until", to_rfc3339(change.row.expires_at)}}});
  }
  void operator()(const store::SpendOneTimePassword& change) const {
    out.push_back({"PASSWORD-USED", {{"server", change.server}}});
  }
  template <class Other>
  void operator()(const Other&) const {}
};

}  // namespace

std::vector<Event> events_of(const store::Batch& batch) {
  std::vector<Event> out;
  for (const auto& change : batch) std::visit(Describe{out}, change);
  return out;
}

bool switches(const store::Batch& batch) {
  return std::any_of(batch.begin(), batch.end(), [](const store::Change& change) {
    const auto* const put = std::get_if<store::PutGeneration>(&change);
    return put != nullptr && put->row.status == store::GenerationStatus::retired;
  });
}

}  // namespace umbra::audit
