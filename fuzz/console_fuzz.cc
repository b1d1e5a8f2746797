// Lines at the console, in a session that may change everything, one that may only look, or one
// that may nothing: the first octet says which. Each line has one answer of whole lines without
// control characters; who may only look changes nothing; a line that is a command is the same
// command spelled out in full; what Tab adds never makes a line wrong; and what one filter leaves
// out its opposite leaves in.

#include <algorithm>
#include <cstdlib>

#include "config/command_table.h"
#include "console/exec_table.h"
#include "console/filter.h"
#include "console/lab_test.h"
#include "console/session.h"

using namespace umbra;

namespace {

void must(bool condition) {
  if (!condition) std::abort();
}

/// How often something was changed.
int changes = 0;

Result<void> changed() {
  ++changes;
  return {};
}

class Notes final : public console::Configurator {
 public:
  void edit(console::Edit edit, std::function<void(console::EditResult)> done) override {
    static_cast<void>(changed());
    must(!edit.lines.empty());
    done({});
  }
  void left(const std::string& /*by*/) override {}
  [[nodiscard]] std::string running() const override { return "hostname hub\n"; }
  void reload(std::string /*by*/, std::function<void(Result<std::string>)> done) override {
    static_cast<void>(changed());
    done(std::string());
  }
  [[nodiscard]] Result<std::string> startup() const override { return std::string("!\n"); }
  [[nodiscard]] Result<std::string> differences() const override { return std::string(); }
  void save(std::string /*by*/, std::function<void(Result<std::string>)> done) override {
    static_cast<void>(changed());
    done(std::string());
  }
};

console::ServerControl server() {
  console::ServerControl s;
  s.name = "ROOTCA";
  s.status = [] { return console::lab::root_ca(); };
  s.requests = [] { return console::lab::requests(); };
  s.grant = [](std::optional<std::uint64_t>) -> Result<server::GrantReport> {
    static_cast<void>(changed());
    return server::GrantReport{};
  };
  s.reject = s.remove = [](std::optional<std::uint64_t>) { return changed(); };
  s.rollover = s.start = s.stop = [] { return changed(); };
  s.rollover_cancel = [](bool) -> Result<server::OverlapReport> {
    static_cast<void>(changed());
    return console::lab::overlap();
  };
  s.overlap = [] { return console::lab::overlap(); };
  s.revoke = [](const x509::Serial&, x509::RevocationReason) {
    static_cast<void>(changed());
    return Result<server::OnCrl>(server::OnCrl::now);
  };
  s.unrevoke = [](const x509::Serial&) { return changed(); };
  s.crl = [] { return console::lab::crl(); };
  s.each_certificate = [](const auto&) { return Result<void>(); };
  s.keys = [] { return Result<std::vector<x509::KeyLine>>(); };
  s.crl_above = [] { return std::optional<server::CrlAboveView>(); };
  s.generate_password = [](std::chrono::minutes) -> Result<std::string> {
    static_cast<void>(changed());
    return "0123456789ABCDEF0123";
  };
  s.request_pkcs10 = [](ByteView der) -> Result<server::HandRequest> {
    UMBRA_CHECK(x509::Request::from_der(der));
    static_cast<void>(changed());
    return server::HandRequest{7, {}};
  };
  return s;
}

const std::shared_ptr<const console::ExecEnvironment>& environment() {
  static const console::lab::FixedClock clock(console::lab::at("2017-07-10T12:14:46Z"), 820);
  static Notes notes;
  static const auto made = [] {
    auto e = std::make_shared<console::ExecEnvironment>(console::ExecEnvironment{
        clock, console::lab::cet, "0.1.0", "hub", "!\nhostname hub\n!\n", {}, {}, {}, {}, {}});
    e->servers.push_back(server());
    e->trustpoints.push_back(
        {"Root-CA", [] { return console::lab::spoke(); },
         [](const std::function<void(Result<x509::Certificate>)>& done) {
           done(console::lab::certificate("guide/ca-01.hex"));
         },
         [](const x509::Certificate&, const std::function<void(Result<void>)>& done) {
           done(changed());
         },
         [] { return changed(); }});
    e->fetch = [](const std::string& url, const std::function<void(Result<Bytes>)>& done) {
      done(fail(Errc::not_found, url + ": no such file"));
    };
    e->destroy_server = [](const std::string&) { return changed(); };
    e->audit = [](const std::string&, const std::string&) { return changed(); };
    e->configurator = &notes;
    return std::shared_ptr<const console::ExecEnvironment>(std::move(e));
  }();
  return made;
}

bool fit_for_a_terminal(std::string_view text) {
  return (text.empty() || text.ends_with('\n')) &&
         std::none_of(text.begin(), text.end(), [](char c) {
           const auto octet = static_cast<unsigned char>(c);
           return (octet < 0x20 && c != '\n' && c != '\t') || octet == 0x7F;
         });
}

void spell_out(std::string_view line) {
  const auto command = console::split_filter(line).first;
  const auto& grammar = console::session_grammar();
  const auto once = grammar.match(command, config::tokenize(command));
  if (once.verdict != config::Verdict::matched) return;
  std::string full;
  for (const auto& word : once.match.captures) full += (full.empty() ? "" : " ") + word.text;
  const auto again = grammar.match(full, config::tokenize(full));
  must(again.verdict == config::Verdict::matched);
  must(again.match.command == once.match.command);
  must(std::equal(
      again.match.captures.begin(), again.match.captures.end(), once.match.captures.begin(),
      once.match.captures.end(),
      [](const auto& a, const auto& b) { return a.word == b.word && a.text == b.text; }));
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

/// `filter`: what stands behind a bar, as its first word and the rest.
void filter(std::string_view expression, std::string_view screen) {
  const auto with = [&](const char* word) {
    const auto chosen = console::Filter::parse(word + (" " + std::string(expression)));
    return chosen ? std::optional(chosen->apply(screen)) : std::nullopt;
  };
  const auto in = with("include");
  const auto out = with("exclude");
  const auto count = with("count");
  const auto begin = with("begin");
  const auto section = with("section");
  must(in.has_value() == out.has_value() && in.has_value() == count.has_value());
  if (!in) return;
  auto all = lines_of(screen);
  auto both = lines_of(*in);
  must(*count == "Number of lines which match regexp = " + std::to_string(both.size()) + "\n");
  must(begin->empty() == in->empty());
  if (!begin->empty()) must(begin->substr(0, begin->find('\n')) == both.front());
  must(section->empty() == in->empty());
  const auto left_out = lines_of(*out);
  both.insert(both.end(), left_out.begin(), left_out.end());
  std::sort(all.begin(), all.end());
  std::sort(both.begin(), both.end());
  must(all == both);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  constexpr console::Privilege all[] = {console::Privilege::full, console::Privilege::view,
                                        console::Privilege::none};
  const console::Privilege privilege = all[data[0] % std::size(all)];
  const auto session =
      std::make_shared<console::Session>([] { return environment(); }, privilege, "alice");
  const int before = changes;
  std::optional<std::string> asked;  // by the line before
  for (const std::string& line : lines_of(as_text({data + 1, size - 1}))) {
    must(!session->prompt().empty());
    const std::string added = session->completion(line);
    const std::string help = session->help(line);
    must(fit_for_a_terminal(help) || !fit_for_a_terminal(line + "\n"));
    if (!added.empty()) must(!session->help(line + added).starts_with('%'));
    spell_out(line);
    int answers = 0;
    console::ExecResult said;
    const std::optional<std::string> input = asked ? std::optional(line) : std::nullopt;
    session->say(asked ? *asked : line, input, [&](console::ExecResult result) {
      ++answers;
      said = std::move(result);
    });
    must(answers == 1);
    if (said.ask != console::Ask::nothing) {
      asked = line;
    } else {
      must(fit_for_a_terminal(said.output));
      asked.reset();
    }
    const auto behind_bar = console::split_filter(line).second;
    if (behind_bar) filter(*behind_bar, console::server_screen({console::lab::root_ca()}, {}));
    answers = 0;
    session->execute(line, std::nullopt, [&](const console::ExecResult&) { ++answers; });
    must(answers == 1 || session->over());
    if (session->over()) break;
  }
  must(privilege == console::Privilege::full || changes == before);
  return 0;
}
