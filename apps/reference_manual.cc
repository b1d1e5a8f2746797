#include <fmt/format.h>

#include "config/command_table.h"
#include "config/reference.h"
#include "console/exec_table.h"
#include "manual.h"

namespace {

using umbra::config::Command;
using umbra::config::Mode;
using umbra::config::Word;

void add_table(std::string& out, std::span<const Command> table, Mode mode) {
  for (const Command& command : table) {
    if (command.mode != mode) continue;
    out += fmt::format(".TP\n.B {}\n", roff(umbra::config::plain_syntax(command)));
    std::string words;
    for (const Word& word : umbra::config::words_of(command)) {
      if (!words.empty()) words += "; ";
      words += word.text + ": " + word.help;
    }
    out += fmt::format("{}.\n", roff(words));
    if (mode != Mode::exec && !command.otherwise.empty())
      out += fmt::format("Default: {}.\n", roff(command.otherwise));
  }
}

std::string words_of_options(const CLI::App& app) {
  std::string out;
  for (const CLI::Option* const option : app.get_options()) {
    if (option->get_group().empty()) continue;
    for (const std::string& name : option->get_lnames()) out += (out.empty() ? "--" : " --") + name;
  }
  return out;
}

}  // namespace

std::string umbra_manual(const CLI::App& app, std::string_view version) {
  std::string out = program_manual(app, "umbra", "1", version);
  out +=
      ".SH SESSION\nWithout a command, umbra is an interactive session with a running umbrad: "
      "? and Tab help, exit ends it.\n"
      ".SH EXEC COMMANDS\nIn a session, or behind umbra exec. Words may be shortened while they "
      "stay unique. Behind any show, | include, exclude, begin, section and count choose lines by "
      "a regular expression, and | json gives the values as JSON.\n";
  add_table(out, umbra::console::exec_table(), Mode::exec);
  out += ".SH SESSION COMMANDS\nIn a session alone.\n";
  add_table(out, umbra::console::session_table(), Mode::exec);
  out +=
      ".SH EXIT STATUS\n"
      ".TP\n.B 0\nEvery command succeeded.\n.TP\n.B 1\nOne failed.\n"
      ".TP\n.B 2\nThe command line is wrong, or a file cannot be read.\n"
      ".TP\n.B 3\nNo umbrad answers.\n.PP\numbra status exits as a monitoring plugin does.\n"
      ".SH FILES\n.I /run/umbra/umbra.sock\n"
      ".SH SEE ALSO\n.BR umbrad (8),\n.BR umbra.conf (5)\n";
  return out;
}

std::string configuration_manual(std::string_view version) {
  std::string out = fmt::format(
      ".TH umbra.conf 5 \"\" \"Umbra {}\" \"Umbra\"\n.ad l\n"
      ".SH NAME\numbra.conf \\- configuration of umbrad, in IOS syntax\n"
      ".SH DESCRIPTION\nOne command a line; words may be shortened while they stay unique; ! "
      "begins a comment; no or default in front of a command takes it back. A fault stops the "
      "start and is named with its line.\n",
      roff(version));
  static constexpr std::pair<Mode, std::string_view> sections[] = {
      {Mode::global, "GLOBAL COMMANDS"},
      {Mode::server, "CRYPTO PKI SERVER"},
      {Mode::trustpoint, "CRYPTO PKI TRUSTPOINT"},
      {Mode::profile, "CRYPTO PKI PROFILE ENROLLMENT"},
      {Mode::chain, "CRYPTO PKI CERTIFICATE CHAIN"}};
  for (const auto& [mode, title] : sections) {
    out += fmt::format(".SH {}\n", title);
    add_table(out, umbra::config::command_table(), mode);
  }
  return out + ".SH SEE ALSO\n.BR umbrad (8),\n.BR umbra (1)\n";
}

std::string bash_completion(const CLI::App& app) {
  std::string names;
  std::string cases;
  for (const CLI::App* const one : app.get_subcommands({})) {
    names += (names.empty() ? "" : " ") + one->get_name();
    cases += fmt::format("    {}) options='{}' ;;\n", one->get_name(), words_of_options(*one));
  }
  return fmt::format(
      R"bash(# bash completion for umbra; made by `umbra --generate bash`
_umbra() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} command='' options='{}' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${{COMP_WORDS[i]}} in
    -*) ;;
    *) command=${{COMP_WORDS[i]}}; break ;;
    esac
  done
  case $command in
{}    '') options+=' {}' ;;
  esac
  if [[ $command == exec && $word != -* &&
        ${{COMP_WORDS[COMP_CWORD - 1]}} != @(--socket|--file|-f|=) ]]; then
    _umbra_exec "$((i + 1))" "$word"
    return
  elif [[ -n $command && $word != -* ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
    return
  fi
  mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
}}
# What may stand behind these words, as the running umbrad says: keywords, <cr>, and arguments.
_umbra_ask() {{
  "${{umbra[@]}}" "$1?" 2>/dev/null | awk '$1 ~ /^[A-Za-z0-9<]/ {{ print $1 }}'
}}
_umbra_exec() {{
  local i word=$2 line='' begun='' quote='' one next
  local -a umbra=(umbra exec) words
  for ((i = $1; i < COMP_CWORD; i++)); do
    case ${{COMP_WORDS[i]}} in
    --socket)
      [[ ${{COMP_WORDS[i + 1]}} == '=' ]] && ((++i))
      umbra+=(--socket "${{COMP_WORDS[++i]}}")
      ;;
    -*) ;;
    *) line+="${{COMP_WORDS[i]}} " ;;
    esac
  done
  # Readline puts what is chosen in place of all that stands behind the quotation mark.
  if [[ $word == [\"\']* ]]; then
    quote=${{word:0:1}}
    word=${{word:1}}
    begun=${{word%"${{word##* }}"}}
    word=${{word##* }}
  fi
  next=$(_umbra_ask "$line$begun" | grep -x '[a-z0-9][a-z0-9-]*')
  mapfile -t words < <(compgen -W "$next" -- "$word")
  # One word alone would close the quotation mark: while more may follow, that stands behind it.
  while [[ -n $quote && ${{#words[@]}} == 1 ]]; do
    one=${{words[0]}}
    next=$(_umbra_ask "$line$begun$one ")
    words=()
    [[ $next == *'<cr>'* ]] && words+=("$one")
    for word in $next; do
      case $word in
      [a-z0-9]*) words+=("$one $word") ;;
      '<cr>') ;;
      *) words+=("$one " "$one  ") ;;
      esac
    done
    if [[ ${{#words[@]}} == 0 || ${{#words[@]}} == 1 && ${{words[0]}} == "$one" ]]; then
      words=("$one")
      break
    fi
  done
  COMPREPLY=("${{words[@]/#/$begun}}")
}}
complete -F _umbra umbra
)bash",
      words_of_options(app), cases, names);
}
