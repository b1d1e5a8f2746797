#include "console/exec_table.h"

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "config/command_table.h"
#include "config/reference.h"

namespace umbra::console {
namespace {

using config::Command;
using config::Mode;

constexpr Command table[] = {
    {Mode::exec, "show clock", "show clock [detail]",
     "Shows something|The time|And where it comes from", ""},
    {Mode::exec, "show version", "show version", "Shows something|The version of this program", ""},
    {Mode::exec, "show running-config", "show running-config",
     "Shows something|The configuration that is in force, with the certificates held", ""},
    {Mode::exec, "show logging", "show logging", "Shows something|The newest lines of the log", ""},
    {Mode::exec, "show debugging", "show debugging", "Shows something|What is debugged", ""},
    {Mode::exec, "debug crypto pki", "debug crypto pki {messages|transactions|server|scep|all}",
     "Logs what happens in detail, for all sessions and until it is taken back|Encryption|"
     "Certificates|What messages hold|Enrolment, renewal and what follows from them|Certificate "
     "servers|SCEP requests and answers|All of these",
     ""},
    {Mode::exec, "no debug crypto pki",
     "no debug crypto pki {messages|transactions|server|scep|all}",
     "Takes back|Logging in detail|Encryption|Certificates|What messages hold|Enrolment, renewal "
     "and what follows from them|Certificate servers|SCEP requests and answers|All of these",
     ""},
    {Mode::exec, "no debug all", "no debug all", "Takes back|Logging in detail|All of it", ""},
    {Mode::exec, "undebug crypto pki", "undebug crypto pki {messages|transactions|server|scep|all}",
     "Takes logging in detail back|Encryption|Certificates|What messages hold|Enrolment, renewal "
     "and what follows from them|Certificate servers|SCEP requests and answers|All of these",
     ""},
    {Mode::exec, "undebug all", "undebug all", "Takes logging in detail back|All of it", ""},
    {Mode::exec, "show startup-config", "show startup-config",
     "Shows something|The configuration file, which the next start reads", ""},
    {Mode::exec, "show archive config differences", "show archive config differences",
     "Shows something|Kept configurations|The configuration|What `write memory` would change in "
     "the "
     "file: + for new lines, - for lines that go",
     ""},
    {Mode::exec, "show crypto pki server", "show crypto pki server [NAME:word]",
     "Shows something|Encryption|Certificates|Certificate servers|This one", ""},
    {Mode::exec, "show crypto pki server NAME requests",
     "show crypto pki server NAME:word requests",
     "Shows something|Encryption|Certificates|A certificate server|Its name|Its enrolment requests",
     ""},
    {Mode::exec, "show crypto pki server NAME certificates",
     "show crypto pki server NAME:word certificates",
     "Shows something|Encryption|Certificates|A certificate server|Its name|All that it has issued",
     ""},
    {Mode::exec, "show crypto pki counters", "show crypto pki counters",
     "Shows something|Encryption|Certificates|What was counted since the start: SCEP exchanges, "
     "messages checked, CRLs fetched",
     ""},
    {Mode::exec, "show crypto pki crls", "show crypto pki crls",
     "Shows something|Encryption|Certificates|The CRLs that are held", ""},
    {Mode::exec, "show crypto key mypubkey", "show crypto key mypubkey {rsa|ec|all} [LABEL:word]",
     "Shows something|Encryption|Keys|Public halves of the keys here|RSA|Elliptic curve|Of both "
     "kinds|The one of this name",
     ""},
    {Mode::exec, "show crypto pki timers", "show crypto pki timers [detail]",
     "Shows something|Encryption|Certificates|What will happen when|With dates", ""},
    {Mode::exec, "show crypto pki certificates",
     "show crypto pki certificates [verbose] [NAME:word]",
     "Shows something|Encryption|Certificates|All that are held|With keys and extensions|Of this "
     "trustpoint",
     ""},
    {Mode::exec, "show crypto pki status",
     "show crypto pki status [{server|trustpoint}] [NAME:word]",
     "Shows something|Encryption|Certificates|A line for each server and trustpoint: OK, WARNING "
     "or CRITICAL, and why|Servers alone|Trustpoints alone|This one",
     ""},
    {Mode::exec, "show crypto pki plan", "show crypto pki plan",
     "Shows something|Encryption|Certificates|Who goes dark when, and what to write instead: what "
     "`umbra check` says of the configuration",
     ""},
    {Mode::exec, "show crypto pki trustpoints",
     "show crypto pki trustpoints [{status|NAME:word [status]}]",
     "Shows something|Encryption|Certificates|Trustpoints|How far each has come|This one|How far "
     "it "
     "has come",
     ""},
    {Mode::exec, "crypto pki server NAME info requests",
     "crypto pki server NAME:word info requests",
     "Encryption|Certificates|A certificate server|Its name|Shows|Its enrolment requests", ""},
    {Mode::exec, "show crypto pki server NAME crl", "show crypto pki server NAME:word crl",
     "Shows something|Encryption|Certificates|A certificate server|Its name|Its newest CRL", ""},
    {Mode::exec, "crypto pki server NAME info crl", "crypto pki server NAME:word info crl",
     "Encryption|Certificates|A certificate server|Its name|Shows|Its newest CRL", ""},
    {Mode::exec, "crypto pki server NAME revoke",
     "crypto pki server NAME:word revoke SERIAL:word "
     "[{unspecified|key-compromise|affiliation-changed|superseded|cessation-of-operation|"
     "certificate-hold|privilege-withdrawn}]",
     "Encryption|Certificates|A certificate server|Its name|Revokes a certificate; a CRL that says "
     "so is made at once|Serial number, decimal or 0x and hex|Why (RFC 5280 5.3.1); nothing on the "
     "CRL if left out|Its key is known to others|It belongs elsewhere now|Another has taken its "
     "place|It is no longer in use|For the time being|It may no longer do what it did",
     ""},
    {Mode::exec, "crypto pki server NAME unrevoke",
     "crypto pki server NAME:word unrevoke SERIAL:word",
     "Encryption|Certificates|A certificate server|Its name|Takes a revocation back|Serial number, "
     "decimal or 0x and hex",
     ""},
    {Mode::exec, "crypto pki server NAME grant",
     "crypto pki server NAME:word grant {all|ID:1-2147483647}",
     "Encryption|Certificates|A certificate server|Its name|Issues what was asked for|Every "
     "pending "
     "request|This request",
     ""},
    {Mode::exec, "crypto pki server NAME reject",
     "crypto pki server NAME:word reject {all|ID:1-2147483647}",
     "Encryption|Certificates|A certificate server|Its name|Refuses; the client learns it at its "
     "next poll|Every pending request|This request",
     ""},
    {Mode::exec, "crypto pki server NAME remove",
     "crypto pki server NAME:word remove {all|ID:1-2147483647}",
     "Encryption|Certificates|A certificate server|Its name|Forgets, whatever became of it|Every "
     "request|This request",
     ""},
    {Mode::exec, "crypto pki server NAME rollover",
     "crypto pki server NAME:word rollover [cancel [force]]",
     "Encryption|Certificates|A certificate server|Its name|Makes the next CA certificate "
     "now|Takes it back, unless clients hold it|Even then: their shadow certificates are revoked, "
     "and they must enrol again",
     ""},
    {Mode::exec, "show crypto pki server NAME rollover",
     "show crypto pki server NAME:word rollover",
     "Shows something|Encryption|Certificates|A certificate server|Its name|Who has the next CA "
     "certificate, and who has a certificate of it",
     ""},
    {Mode::exec, "crypto pki server NAME password generate",
     "crypto pki server NAME:word password generate [MINUTES:1-1440]",
     "Encryption|Certificates|A certificate server|Its name|One-time passwords|Makes one: the "
     "request whose challenge it is is granted, once; the one before it counts no more|How long it "
     "holds; 60 if left out",
     ""},
    {Mode::exec, "crypto pki server NAME request pkcs10",
     "crypto pki server NAME:word request pkcs10 {terminal|URL:url} [{base64|pem}]",
     "Encryption|Certificates|A certificate server|Its name|Takes a request|PKCS #10|From here, up "
     "to an empty line|From unix:/FILE or http://HOST/FILE|The certificate is shown in base64|Or "
     "as "
     "PEM",
     ""},
    {Mode::exec, "crypto pki server NAME start", "crypto pki server NAME:word start",
     "Encryption|Certificates|A certificate server|Its name|Starts it: what fell due meanwhile is "
     "done first",
     ""},
    {Mode::exec, "crypto pki server NAME stop", "crypto pki server NAME:word stop",
     "Encryption|Certificates|A certificate server|Its name|Stops it until it is started, or "
     "umbrad "
     "is",
     ""},
    {Mode::exec, "no crypto pki server", "no crypto pki server NAME:word",
     "Takes back|Encryption|Certificates|A certificate server that is configured no more: what is "
     "kept of it is destroyed, after a question|Its name",
     ""},
    {Mode::exec, "crypto pki authenticate",
     "crypto pki authenticate NAME:word [fingerprint HEX:hex-line]",
     "Encryption|Certificates|Fetches the CA certificate, shows its fingerprints and asks whether "
     "to accept it|The trustpoint|Accepts it, without asking, if this is one of them|32 (MD5), 40 "
     "(SHA-1) or 64 (SHA-256) digits",
     ""},
    {Mode::exec, "crypto pki enroll", "crypto pki enroll NAME:word",
     "Encryption|Certificates|Asks for a certificate, or for the next one|The trustpoint", ""},
    {Mode::exec, "no crypto pki enroll", "no crypto pki enroll NAME:word",
     "Takes back|Encryption|Certificates|The enrolment request that is under way; nothing more is "
     "asked for until somebody enrols|The trustpoint",
     ""},
    {Mode::exec, "crypto pki import NAME certificate", "crypto pki import NAME:word certificate",
     "Encryption|Certificates|Takes in|The trustpoint|The certificate that was asked for by hand, "
     "pasted as PEM or base64",
     ""},
    {Mode::exec, "crypto pki import NAME pem",
     "crypto pki import NAME:word pem {terminal|url URL:url} [exportable] password "
     "PASSPHRASE:secret",
     "Encryption|Certificates|Takes in|The trustpoint|Key and certificates in PEM|Pasted, up to a "
     "line that says quit|From files|unix:/FILE, for FILE.prv, FILE.crt and FILE.ca; or one file "
     "with all of it|The key may be exported again|What the key is sealed with|The passphrase",
     ""},
    {Mode::exec, "crypto pki import NAME pkcs12",
     "crypto pki import NAME:word pkcs12 {terminal|URL:url} [exportable] password "
     "PASSPHRASE:secret",
     "Encryption|Certificates|Takes in|The trustpoint|Key and certificates in PKCS #12|Pasted as "
     "base64|From unix:/FILE or http://HOST/FILE|The key may be exported again|What it is sealed "
     "with|The passphrase",
     ""},
    {Mode::exec, "crypto pki export NAME pem",
     "crypto pki export NAME:word pem {terminal|url URL:url} [{aes|3des} PASSPHRASE:secret]",
     "Encryption|Certificates|Gives out|The trustpoint|In PEM: its certificates, and with a "
     "passphrase its key|Shown here|Into new files|unix:/FILE, for FILE.ca, FILE.crt and "
     "FILE.prv|The key in PKCS #8, AES-256|The key in the older form, 3DES|Seals the key; 8 "
     "characters or more",
     ""},
    {Mode::exec, "crypto pki export NAME pkcs12",
     "crypto pki export NAME:word pkcs12 {terminal|URL:url} password PASSPHRASE:secret",
     "Encryption|Certificates|Gives out|The trustpoint|Its key and certificates in PKCS #12, "
     "AES-256|Shown here in base64|Into a new file, unix:/FILE|Seals it|8 characters or more",
     ""},
    {Mode::exec, "crypto pki certificate validate", "crypto pki certificate validate NAME:word",
     "Encryption|Certificates|Certificates|Checks them: signatures, time, and revocation as "
     "`revocation-check` says|Of this trustpoint",
     ""},
    {Mode::exec, "crypto pki crl request", "crypto pki crl request NAME:word",
     "Encryption|Certificates|CRLs|Fetches the CA's CRL now|The trustpoint", ""},
    {Mode::exec, "crypto key generate rsa",
     "crypto key generate rsa [general-keys] [label LABEL:word] [exportable] [modulus "
     "BITS:360-4096] [exportable]",
     "Encryption|Keys|Makes a key pair; the first trustpoint that names it takes it|RSA|For "
     "signatures and encryption|Its name|host.domain if left out|It may be exported|Its size|2048 "
     "if left out, and at least|It may be exported",
     ""},
    {Mode::exec, "crypto key generate ec",
     "crypto key generate ec keysize {256|384|521} [exportable] [label LABEL:word] [exportable]",
     "Encryption|Keys|Makes a key pair; the first trustpoint that names it takes it|Elliptic "
     "curve, for requests by hand and self-signed certificates|The curve|P-256|P-384|P-521|It may "
     "be exported|Its name|host.domain if left out|It may be exported",
     ""},
    {Mode::exec, "crypto key zeroize", "crypto key zeroize {rsa|ec} LABEL:word",
     "Encryption|Keys|Deletes a key pair and what was issued for it, after a question|RSA|Elliptic "
     "curve|Its name",
     ""},
    {Mode::exec, "terminal exec prompt timestamp", "terminal exec prompt timestamp",
     "The terminal|Exec commands|The prompt|Load and clock above each screen", ""},
    {Mode::exec, "terminal no exec prompt timestamp", "terminal no exec prompt timestamp",
     "The terminal|Takes back|Exec commands|The prompt|Load and clock above each screen", ""},
    {Mode::exec, "write", "write [memory]",
     "Writes the configuration that is in force to its file, which is kept as FILE~; the "
     "certificates held get a Storage line|The only place there is",
     ""},
    {Mode::exec, "copy running-config startup-config", "copy running-config startup-config",
     "Copies something|The configuration that is in force|To its file, as `write memory`", ""},
    {Mode::exec, "configure replace startup-config", "configure replace startup-config",
     "Changes the configuration|To another one, as a whole|What the file says now, as SIGHUP", ""},
};

/// Said in a session alone: `umbra exec` has none.
constexpr Command session_rows[] = {
    {Mode::exec, "configure", "configure [terminal]",
     "Changes the configuration|From here: each line at once, or not at all", ""},
    {Mode::exec, "enable", "enable", "Does nothing: who may do what is decided at the door", ""},
    {Mode::exec, "exit", "exit", "Ends the session", ""},
    {Mode::exec, "logout", "logout", "Ends the session", ""},
    {Mode::exec, "terminal length", "terminal length LINES:0-512",
     "The terminal|Lines of a page|0: no pages", ""},
    {Mode::exec, "terminal no length", "terminal no length",
     "The terminal|Takes back|Pages are as long as the terminal", ""},
    {Mode::exec, "terminal monitor", "terminal monitor",
     "The terminal|Shows what is logged, and debugged, as it comes", ""},
    {Mode::exec, "terminal no monitor", "terminal no monitor",
     "The terminal|Takes back|Shows what is logged, and debugged, as it comes", ""},
};

}  // namespace

std::span<const config::Command> exec_table() { return table; }
std::span<const config::Command> session_table() { return session_rows; }

const config::Grammar& exec_grammar() {
  static const config::Grammar grammar(table, Mode::exec);
  return grammar;
}

const config::Grammar& session_grammar() {
  static const std::vector<Command> rows = [] {
    std::vector<Command> all(std::begin(table), std::end(table));
    for (const Command& row : session_rows) {
      if (std::none_of(std::begin(table), std::end(table),
                       [&](const Command& other) { return other.key == row.key; }))
        all.push_back(row);
    }
    return all;
  }();
  static const config::Grammar grammar(rows, Mode::exec);
  return grammar;
}

const config::Grammar& configuration_grammar() {
  // What the rows made below refer to.
  static std::deque<std::string> texts;
  static const std::vector<Command> rows = [] {
    std::vector<Command> all;
    for (const Command& row : config::command_table()) {
      // Of the router's own actions, those that are carried out here stand in the exec table,
      // whole.
      const bool carried_out = (row.flags & Command::action) && row.key.starts_with("crypto ");
      if (row.mode == Mode::global && !carried_out) all.push_back(row);
    }
    for (Command row : table) {
      if (!row.key.starts_with("crypto ")) continue;
      constexpr std::string_view pki = "crypto pki ";
      if (row.key.starts_with(pki) && !row.key.starts_with("crypto pki server ")) {
        row.syntax =
            texts.emplace_back("crypto {pki|ca} " + std::string(row.syntax.substr(pki.size())));
        std::string help(row.help);
        const auto second = help.find('|', help.find('|') + 1);
        row.help = texts.emplace_back(help.insert(second, "|Certificates, older spelling"));
      }
      row.mode = Mode::global;
      row.flags |= Command::action;
      all.push_back(row);
    }
    return all;
  }();
  static const config::Grammar grammar(rows, Mode::global);
  return grammar;
}

const config::Grammar& configuration_no_grammar() {
  static const std::vector<Command> rows = [] {
    std::vector<Command> all;
    for (const Command& row : table) {
      // `no crypto pki server` is a configuration command there, and another one.
      if (row.key.starts_with("no crypto ") && row.key != "no crypto pki server")
        all.push_back(row);
    }
    return all;
  }();
  static const config::Grammar grammar(rows, Mode::exec);
  return grammar;
}

std::string in_todays_words(std::string_view line) {
  const auto is_command = [](std::string_view text) {
    const std::string_view command = text.substr(0, text.find(" |"));
    return session_grammar().match(command, config::tokenize(command)).verdict ==
           config::Verdict::matched;
  };
  std::string text(line);
  if (is_command(line)) return text;
  const auto words = config::tokenize(line.substr(0, line.find(" |")));
  constexpr std::size_t words_in_front = 3;  // `no debug crypto`
  for (std::size_t i = 1; i < words.size() && i <= words_in_front; ++i) {
    const std::string before = config::lower(words[i - 1].text);
    if (config::lower(words[i].text) != "ca" || before.size() < 2 ||
        !std::string_view("crypto").starts_with(before))
      continue;
    text.replace(words[i].offset, words[i].text.size(), "pki");
    return is_command(text) ? text : std::string(line);
  }
  return text;
}

std::string exec_reference() {
  std::string out =
      "# Exec commands\n\n"
      "Made from the command table; the tests compare the two. Type them after `umbra exec`.\n\n"
      "Words may be shortened while they stay unique. `[ ]` may be left out, `{a|b}` is a choice. "
      "`?` in place of a word\nlists what may stand there. Behind any `show` command, `| include "
      "REGEX`, `| exclude REGEX`, `| begin REGEX`,\n`| section REGEX` and `| count REGEX` choose "
      "lines; `| json` gives the same as [JSON](JSON.md).\n\n";
  out += config::reference_of(table, Mode::exec);
  out +=
      "## In a session alone\n\nWhere `umbra` was called without a command: "
      "[CONSOLE](CONSOLE.md).\n\n";
  out += config::reference_of(session_rows, Mode::exec);
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

}  // namespace umbra::console
