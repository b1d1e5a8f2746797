#include "console/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/bytes.h"
#include "config/command_table.h"
#include "console/exec_result.h"
#include "console/exec_table.h"

namespace umbra::console {
namespace {

using config::Command;
using config::Outcome;
using config::Verdict;

constexpr std::size_t line_max = 4096;               // as in a configuration file
constexpr std::size_t certificate_lines_max = 4096;  // 64 KiB in lines of 16 octets, and more

/// What may be said in every configuration mode besides its commands.
constexpr std::pair<std::string_view, std::string_view> everywhere[] = {
    {"default", "Takes a setting back to its default"},
    {"do", "An exec command from here"},
    {"end", "Leaves configuration mode"},
    {"exit", "Leaves this mode"},
    {"no", "Takes a setting back"},
};

/// The commands of a mode as they are typed here: some of the global ones are exec commands.
const config::Grammar& grammar_of(config::Mode mode, bool reset) {
  return mode == config::Mode::global && !reset ? configuration_grammar() : config::grammar(mode);
}

bool abbreviates(std::string_view typed, std::string_view word) {
  return !typed.empty() && word.starts_with(typed);
}

/// Whether `head` is short for a word that may be said everywhere, and for another one too.
bool is_ambiguous(config::Mode mode, const std::string& head) {
  std::set<std::string> all;
  for (const auto& [word, help] : everywhere) {
    if (abbreviates(head, word)) all.emplace(word);
  }
  if (all.empty()) return false;
  for (const config::Mode read_in : {mode, config::Mode::global}) {
    for (const Choice& one : choices(config::grammar(read_in), head, 0, false).all) {
      if (one.keyword) all.insert(one.text);
    }
  }
  return all.size() > 1 && !all.contains(head);
}

/// Those of `more` that are not there yet, each in its place.
void add(Choices& to, const Choices& more) {
  if (!more.all.empty()) to.wrong.clear();
  for (const Choice& one : more.all) {
    const auto same = [&one](const Choice& c) { return c.text == one.text; };
    if (std::any_of(to.all.begin(), to.all.end(), same)) continue;
    const auto behind = [&one](const Choice& c) { return c.text == "<cr>" || one.text < c.text; };
    const bool end = one.text == "<cr>";
    to.all.insert(end ? to.all.end() : std::find_if(to.all.begin(), to.all.end(), behind), one);
  }
}

bool allowed(Privilege privilege, const config::Match& match) {
  if (privilege == Privilege::full) return true;
  const std::string_view key = match.command->key;
  if (privilege == Privilege::none) return false;
  return (key.starts_with("show ") && !key.ends_with("-config") &&
          !key.starts_with("show archive")) ||
         key.starts_with("terminal ") || key == "exit" || key == "logout" || key == "enable";
}

}  // namespace

Session::Session(Source source, Privilege privilege, std::string by)
    : source_(std::move(source)), privilege_(privilege), by_(std::move(by)), exec_(source_) {
  exec_.speak_for(by_);
  exec_.allow([privilege](const config::Match& match) { return allowed(privilege, match); });
}

void Session::close() {
  source_ = [] { return std::shared_ptr<const ExecEnvironment>(); };
  exec_ = Exec(source_);
  monitored_.reset();
  over_ = true;
}

void Session::log_lines(std::function<void(std::vector<std::string>)> done) {
  reader_ = std::move(done);
  deliver();
}

void Session::deliver() {
  if (!monitored_ || !reader_) return;
  auto lines = monitored_->take();
  if (!lines.empty()) std::exchange(reader_, nullptr)(std::move(lines));
}

std::string Session::prompt() const {
  const auto environment = source_();
  const std::string host =
      !environment || environment->hostname.empty() ? "umbra" : environment->hostname;
  if (!certificate_.empty()) return host + "(config-pubkey)#";
  switch (mode_) {
    case Mode::exec:
      return host + (privilege_ == Privilege::full ? "#" : ">");
    case Mode::global:
      return host + "(config)#";
    case Mode::server:
      return host + "(cs-server)#";
    case Mode::trustpoint:
      return host + "(ca-trustpoint)#";
    case Mode::chain:
      return host + "(config-cert-chain)#";
    case Mode::profile:
      return host + "(ca-profile-enroll)#";
  }
  return host + "#";
}

Configurator* Session::configurator() const {
  const auto environment = source_();
  return environment ? environment->configurator : nullptr;
}

void Session::execute(std::string_view line, const std::optional<std::string>& input,
                      const ExecDone& done) {
  if (over_) return done(failed("% This session is over\n"));
  exec_.execute(line, input, done);
}

void Session::say(std::string_view line, const std::optional<std::string>& input,
                  const ExecDone& done) {
  if (over_) return done(failed("% This session is over\n"));
  const bool text = std::all_of(line.begin(), line.end(), [](char c) {
    return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
  });
  if (line.size() > line_max || !text)
    return done(failed("% A command is one line of text, of at most 4096 characters\n"));
  if (!certificate_.empty()) return certificate_line(line, done);
  const auto tokens = config::tokenize(line);
  if (tokens.empty() || tokens.front().text.starts_with('!')) return done({});
  if (mode_ == Mode::exec) return say_exec(line, input, done, prompt().size());
  configure(line, input, done);
}

void Session::say_exec(std::string_view line, const std::optional<std::string>& input,
                       const ExecDone& done, std::size_t indent) {
  const std::string spelled = in_todays_words(line);
  const auto [command, filter] = split_filter(spelled);
  const auto tokens = config::tokenize(command);
  const Outcome outcome = session_grammar().match(command, tokens);
  if (outcome.verdict != Verdict::matched)
    return done(failed(misread(command, tokens, outcome, indent)));
  if (!allowed(privilege_, outcome.match)) return done(not_allowed());
  const std::string_view key = outcome.match.command->key;
  if (key == "exit" || key == "logout") {
    over_ = true;
    return done({});
  }
  if (key == "enable") return done({});
  if (key == "terminal length") {
    length_ = outcome.match.number("LINES");
    return done({});
  }
  if (key == "terminal no length") {
    length_.reset();
    return done({});
  }
  if (key == "terminal monitor") {
    if (!monitored_) monitored_ = source_()->monitor->subscribe(wake_);
    return done({});
  }
  if (key == "terminal no monitor") {
    monitored_.reset();
    return done({});
  }
  if (key == "configure") {
    if (!configurator()) return done(failed("% The configuration cannot be changed here\n"));
    if (mode_ != Mode::exec) return done({});
    mode_ = Mode::global;
    return done({true, "Enter configuration commands, one per line.  End with CNTL/Z.\n"});
  }
  exec_.execute(spelled, input, done);
}

void Session::leave() {
  mode_ = Mode::exec;
  section_.clear();
  if (Configurator* const running = configurator()) running->left(by_);
}

bool Session::execute_here(std::string_view line, const std::optional<std::string>& input,
                           const ExecDone& done) {
  const std::string text = in_todays_words(line);
  const Outcome exec = exec_grammar().match(text, config::tokenize(text));
  if (exec.verdict != Verdict::matched) return false;
  const std::string_view key = exec.match.command->key;
  if (!key.starts_with("crypto ") && !key.starts_with("no crypto ") && key != "write" &&
      key != "terminal exec prompt timestamp")
    return false;
  exec_.execute(text, input, done);
  return true;
}

void Session::configure(std::string_view line, const std::optional<std::string>& input,
                        const ExecDone& done) {
  const auto tokens = config::tokenize(line);
  const std::size_t indent = prompt().size();
  const std::string head = config::lower(tokens.front().text);
  if (tokens.size() == 1 && is_ambiguous(mode_, head))
    return done(failed(fmt::format("% Ambiguous command:  \"{}\"\n", line)));
  if (tokens.size() == 1 && head.size() > 1 && abbreviates(head, "exit")) {
    if (mode_ == Mode::global) {
      leave();
    } else {
      mode_ = Mode::global;
      section_.clear();
    }
    return done({});
  }
  if (tokens.size() == 1 && head == "end") {
    leave();
    return done({});
  }
  if (head == "do") {
    if (tokens.size() < 2) return done(failed("% Incomplete command.\n"));
    return say_exec(line.substr(tokens[1].offset), input, done, indent + tokens[1].offset);
  }
  const bool reset = head == "no" || (head.size() > 2 && abbreviates(head, "default"));
  const auto words = std::span(tokens).subspan(reset ? 1 : 0);
  if (words.empty()) return done(failed("% Incomplete command.\n"));
  Mode read_in = mode_;
  Outcome outcome = grammar_of(read_in, reset).match(line, words, reset);
  if (outcome.verdict != Verdict::matched && read_in != Mode::global) {
    Outcome global = grammar_of(Mode::global, reset).match(line, words, reset);
    if (global.verdict == Verdict::matched || global.token > outcome.token) {
      outcome = std::move(global);
      read_in = Mode::global;
    }
  }
  if (outcome.verdict != Verdict::matched) {
    if (outcome.verdict != Verdict::ambiguous && execute_here(line, input, done)) return;
    if (reset) ++outcome.token;
    return done(failed(misread(line, tokens, outcome, indent)));
  }
  const Command& command = *outcome.match.command;
  const Mode here = read_in == Mode::global ? Mode::global : mode_;
  const std::string section = here == Mode::global ? "" : section_;
  if (command.flags & Command::action) {
    if (execute_here(line, input, done)) return;
    return done(failed("% This does nothing here: it is said to the router's own console\n"));
  }
  if (command.key == "show") return done(settings());
  if (command.flags & Command::passed) {
    if (!execute_here(line, input, done)) done({});
    return;
  }
  if (mode_ == Mode::chain && here == Mode::chain && !reset && !outcome.match.find("FILE")) {
    certificate_ = {std::string(line)};
    return done({true, "Enter the certificate in hexadecimal representation....\n"});
  }
  if ((command.flags & Command::opens) && !reset) {
    return edit("", {std::string(line)}, command.submode, std::string(line), done);
  }
  edit(section, {std::string(line)}, here, section, done);
}

ExecResult Session::settings() const {
  const auto environment = source_();
  const auto tokens = config::tokenize(section_);
  if (!environment || tokens.empty()) return failed("% There is nothing to show here\n");
  const std::string name(tokens.back().text);
  if (mode_ != Mode::server) {
    return {true, settings_screen(environment->running_config,
                                  fmt::format("crypto pki trustpoint {}", name))};
  }
  x509::Serial last;
  for (const ServerControl& one : environment->servers) {
    if (one.name == name) last = one.status().last_serial;
  }
  return {true, server_settings_screen(environment->running_config, name, last)};
}

void Session::certificate_line(std::string_view line, const ExecDone& done) {
  const auto tokens = config::tokenize(line);
  if (tokens.empty()) return done({});
  if (certificate_.size() >= certificate_lines_max) {
    certificate_.clear();
    return done(failed("% The certificate is too long; nothing was changed\n"));
  }
  const std::string first = config::lower(tokens.front().text);
  if (tokens.size() == 1 && (first == "end" || first == "exit")) {
    certificate_.clear();
    return done(failed("% The certificate is not complete; nothing was changed\n"));
  }
  if (!(tokens.size() == 1 && first == "quit") && !from_hex(line)) {
    return done(failed(
        "% Expected: pairs of hexadecimal digits, quit behind them, or end to give it up\n"));
  }
  certificate_.emplace_back(line);
  if (tokens.size() != 1 || first != "quit") return done({});
  edit(section_, std::exchange(certificate_, {}), mode_, section_, done);
}

void Session::edit(std::string section, std::vector<std::string> lines, Mode next,
                   std::string next_section, const ExecDone& done) {
  Configurator* const running = configurator();
  if (!running) return done(failed("% The configuration cannot be changed here\n"));
  const bool in_section = !section.empty();
  running->edit({by_, std::move(section), std::move(lines), in_section},
                [self = shared_from_this(), next, next_section = std::move(next_section),
                 done](const EditResult& result) {
                  // The next line is read when this one is answered: nobody else is at it.
                  if (result.ok) {
                    self->mode_ = next;
                    self->section_ = next_section;
                  }
                  done({result.ok, result.output});
                });
}

Choices Session::choices_at(std::string_view line) const {
  if (!certificate_.empty()) return {};
  if (mode_ == Mode::exec) return exec_choices(session_grammar(), line);
  const auto tokens = config::tokenize(line);
  const bool first = tokens.empty() || (tokens.size() == 1 && !line.ends_with(' '));
  if (first) {
    Choices found = choices(config::grammar(mode_), line, 0, false);
    for (const auto& [word, help] : everywhere) {
      const auto same = [&w = word](const Choice& c) { return c.text == w; };
      if (word.starts_with(found.begun) && std::none_of(found.all.begin(), found.all.end(), same))
        found.all.push_back({std::string(word), std::string(help), true});
    }
    std::sort(found.all.begin(), found.all.end(),
              [](const Choice& a, const Choice& b) { return a.text < b.text; });
    return found;
  }
  const std::string head = config::lower(tokens.front().text);
  if (head == "do") {
    const std::size_t at = tokens.size() > 1 ? tokens[1].offset : line.size();
    return exec_choices(session_grammar(), line.substr(at));
  }
  const bool reset = head == "no" || (head.size() > 2 && abbreviates(head, "default"));
  const std::size_t from = reset ? 1 : 0;
  const auto of = [&](Mode mode) {
    Choices all = choices(grammar_of(mode, reset), line, from, reset);
    if (mode == Mode::global && head == "no")
      add(all, choices(configuration_no_grammar(), line, 0, false));
    return all;
  };
  Choices found = of(mode_);
  if (found.all.empty() && mode_ != Mode::global) {
    Choices global = of(Mode::global);
    if (!global.all.empty()) return global;
  }
  return found;
}

std::string Session::help(std::string_view line) const { return help_screen(choices_at(line)); }

std::string Session::completion(std::string_view line) const {
  return console::completion(choices_at(line));
}

}  // namespace umbra::console
