#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "rehearse/server_line.h"
#include "rehearse/tally.h"

/// One device's life, on the daemon's own state machine. What it does depends on its number, the
/// seed and the server's line alone, never on another device: so devices may be played in any
/// order, on any number of threads, with the same result bit for bit.
namespace umbra::rehearse {

/// In 32 bits; what lies beyond lies at their end, a century after day 0.
[[nodiscard]] inline std::uint32_t narrow(Offset offset) {
  return static_cast<std::uint32_t>(
      std::clamp<Offset>(offset, 0, std::numeric_limits<std::uint32_t>::max()));
}

/// What a device is between two events. Small: there are millions.
struct Device {
  std::uint32_t last = 0;       ///< its life has been accounted for up to here
  std::uint32_t issued = 0;     ///< its identity begins then
  std::uint32_t follows = 0;    ///< its rollover identity does
  std::uint32_t since = 0;      ///< lifecycle's, in true time
  std::uint32_t held = 0;       ///< nothing is tried before
  std::uint32_t asked = 0;      ///< its request entered the server's queue
  std::uint32_t granted = 0;    ///< the person grants it, or the certificate's first second
  std::uint32_t dark_from = 0;  ///< for the first time
  std::uint32_t dark_for = 0;   ///< all together
  std::uint32_t rolls = 0;      ///< dice thrown
  std::uint16_t ca = 0;         ///< the generation it trusts
  std::uint16_t next_ca = 0;
  std::uint16_t asked_ca = 0;  ///< the generation its request was enveloped for
  std::uint16_t tries = 0;
  std::uint8_t phase = 0;
  std::uint8_t entry = 0;    ///< what the server knows of its transaction
  std::uint8_t trouble = 0;  ///< Cause: the last thing that went wrong
  std::uint8_t cause = 0;    ///< of its first darkness
  std::uint8_t holds = 0;
  std::uint8_t state = 0;
  std::uint8_t episodes = 0;  ///< how often it went dark, up to 255
  bool begun : 1 = false;
  bool off : 1 = false;
  bool has_ca : 1 = false;
  bool has_identity : 1 = false;
  bool has_next_ca : 1 = false;
  bool has_next_identity : 1 = false;
  bool knows_caps : 1 = false;
  bool has_since : 1 = false;
  bool failing : 1 = false;
  bool enrolled : 1 = false;  ///< it has had a certificate
};

struct Chapter {
  Offset at = 0;
  std::string text;
};

/// What the devices of one certificate server live in.
struct Surroundings {
  const Scenario& scenario;
  const Authority& authority;
  const ServerLine& line;
};

class Life {
 public:
  /// `story`: nothing = not told.
  Life(const Surroundings& around, std::size_t number, Device& device, Tally& tally,
       std::vector<Chapter>* story = nullptr);

  /// Plays up to `until`, and gives the time of the next event; `never` if there is none.
  [[nodiscard]] Offset play(Offset until);
  /// Accounts for the time up to the end.
  void finish(Offset end);
  /// When it first enrols.
  [[nodiscard]] Offset enrols_at() const;

 private:
  enum class Way { there_and_back, answer_lost, not_there };
  enum class Entry : std::uint8_t { none, pending, granted, rejected };
  enum class Answer { granted, pending, refused, try_again };

  [[nodiscard]] std::uint64_t roll(std::uint64_t about) const;
  [[nodiscard]] double chance();
  [[nodiscard]] Time local(Offset true_time) const { return at(true_time + skew_); }

  void unpack();
  void pack();
  [[nodiscard]] Offset next_event() const;
  void wake();
  [[nodiscard]] bool drives_itself() const;

  bool take(const lifecycle::TrustpointEvent& event);
  void act(lifecycle::TrustpointAction action);
  void authenticate();
  void ask_capabilities();
  void fetch_next_ca();
  void send();
  void poll();
  void no_answer();
  void refused(Cause cause);
  void trouble(Cause cause, bool follows = false);
  void receive();

  [[nodiscard]] Way exchange(Operation operation);
  void settle_queue();
  [[nodiscard]] Answer judge();
  [[nodiscard]] policy::Signer signer() const;
  void enter_queue();
  [[nodiscard]] Offset leaves_queue() const;
  [[nodiscard]] std::optional<lifecycle::Validity> issue(std::size_t generation, Offset when) const;
  [[nodiscard]] const Generation& generation(std::size_t which) const {
    return around_.line.generations()[which];
  }

  void account(Offset until);
  [[nodiscard]] bool is_valid(Offset when) const;
  void dark(Offset from, Offset to);
  void become(State state, Offset when);
  [[nodiscard]] Cause cause_at(Offset when) const;
  void tell(std::string_view text);
  void tell_of(std::string_view text, const lifecycle::Validity& certificate);
  void broken(const std::string& what);

  const Surroundings& around_;
  const Kind& kind_;
  const std::size_t number_;
  Device& d_;
  Tally& tally_;
  std::vector<Chapter>* story_;
  lifecycle::TrustpointFacts facts_;
  Offset now_ = 0;
  Offset skew_ = 0;
  Offset off_at_ = never;
  Offset on_at_ = never;
};

}  // namespace umbra::rehearse
