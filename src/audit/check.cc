#include "audit/check.h"

#include <fmt/format.h>

#include <charconv>

namespace umbra::audit {
namespace {

std::string issued_key(const std::string& server, const std::string& serial) {
  return server + ' ' + serial;
}

}  // namespace

void Checker::fault(const char* rule, std::string what) {
  if (++report_.count <= faults_max) report_.faults.push_back({rule, row_, std::move(what)});
}

void Checker::take(std::string_view text, bool whole) {
  ++row_;
  const auto line = parse(text);
  if (!line && !whole) {
    // Of a process that died while it wrote: the next start takes it away, and says so.
    report_.notes.push_back(fmt::format(
        "row {}: {} octets without an end, of a process that died; the next start takes them away",
        row_, text.size()));
    return;
  }
  if (!line) return fault("unreadable", line.error().detail);
  ++report_.lines;
  const std::uint64_t expected = head_.number + 1;
  if (line->number > expected) {
    fault("missing",
          line->number == expected + 1
              ? fmt::format("line {} was removed before it", expected)
              : fmt::format("lines {} to {} were removed before it", expected, line->number - 1));
  } else if (line->number < expected) {
    fault("order", fmt::format("line {} stands behind line {}", line->number, head_.number));
  } else if (line->hash != hash_of(head_.hash, line->text)) {
    fault("changed",
          fmt::format("line {}, or the one before it, is not what was written", line->number));
  }
  if (line->event.name == "SIGN") check_signature(*line);
  if (const auto* const server = line->find("server");
      server != nullptr && line->event.name == "DESTROY") {
    const auto gone =
        std::erase_if(unproved_, [&](const auto& one) { return one.first == *server; });
    if (gone != 0) {
      report_.notes.push_back(fmt::format(
          "row {}: {} was destroyed, and {} signatures of its CA before cannot be checked", row_,
          *server, gone));
    }
  }
  if (line->event.name == "GAP")
    fault("gap", "umbrad found the log cut off when it started: see what this line says");
  if (line->event.name == "ISSUE" || line->event.name == "IMPORT") {
    const auto* const server = line->find("server");
    const auto* const serial = line->find("serial");
    if (server != nullptr && serial != nullptr) issued_.insert(issued_key(*server, *serial));
  }
  if (!first_at_) {
    if (const auto at = from_rfc3339(line->time)) first_at_ = *at;
  }
  // What follows is held against this line as it is: one that was changed is told once.
  head_ = {line->number, line->hash};
  if (anchor_ && head_.number == anchor_->number) {
    anchored_ = true;
    if (head_.hash != anchor_->hash)
      fault("changed", fmt::format("line {} is not the one the database knows", head_.number));
  }
}

void Checker::check_signature(const Line& line) {
  const auto* const server = line.find("server");
  const auto* const number = line.find("generation");
  const auto* const signature = line.find("signature");
  std::uint32_t generation = 0;
  const auto octets = signature != nullptr ? from_base64(*signature) : fail(Errc::malformed, "");
  if (server == nullptr || number == nullptr || !octets ||
      std::from_chars(number->data(), number->data() + number->size(), generation).ec !=
          std::errc()) {
    return fault("signature", "it holds no signature that can be read");
  }
  const x509::Certificate* const by = authority_(*server, generation);
  const std::string what = statement(head_);
  if (by == nullptr ||
      !by->public_key().verify({by->public_key().algorithm(), x509::Digest::sha256}, as_bytes(what),
                               *octets)) {
    unproved_.push_back({*server,
                         {"signature", row_,
                          fmt::format("generation {} of {} has not signed the lines before it",
                                      generation, *server)}});
    return;
  }
  ++report_.signatures;
  report_.signed_to = head_.number;
  report_.signed_at = line.time;
}

void Checker::finish() {
  for (auto& [server, unproved] : unproved_) {
    row_ = unproved.row;
    fault("signature", std::move(unproved.what));
  }
  row_ = 0;
  if (anchor_ && !anchored_ && anchor_->number != 0) {
    fault("cut-off", fmt::format("it ends with line {}, and the database knows of line {}",
                                 head_.number, anchor_->number));
  }
}

void Checker::stored(const std::string& server, const x509::Serial& serial, Time issued_at) {
  // What was issued before the log began is not in it.
  if (!first_at_ || issued_at < *first_at_) return;
  if (issued_.contains(issued_key(server, "0x" + serial.to_hex()))) return;
  fault("unrecorded", fmt::format("certificate 0x{} of {} is in the database, and no line tells of "
                                  "its issue at {}",
                                  serial.to_hex(), server, to_rfc3339(issued_at)));
}

}  // namespace umbra::audit
