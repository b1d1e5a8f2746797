#include "simulation/network.h"

#include <fmt/format.h>

#include "base/assert.h"
#include "scep/ca_messages.h"

namespace umbra::simulation {
namespace {

using std::chrono::milliseconds;

/// What a message is, in a word.
std::string word_of(const HttpRequest& request) {
  const auto mark = request.target.find('?');
  if (mark == std::string::npos) return request.target;
  const auto query = scep::parse_query(std::string_view(request.target).substr(mark + 1));
  if (!query) return "?";
  switch (query->operation) {
    case scep::Operation::get_ca_caps:
      return "GetCACaps";
    case scep::Operation::get_ca_cert:
      return "GetCACert";
    case scep::Operation::get_next_ca_cert:
      return "GetNextCACert";
    case scep::Operation::pki_operation: {
      const Bytes message = request.method == "POST"
                                ? request.body
                                : scep::parse_get_message(query->message).value_or(Bytes{});
      const auto opened = scep::open_envelope(message, {});
      if (!opened) return "PKIOperation";
      return fmt::format("{} {}", to_string(opened->envelope.type),
                         opened->envelope.transaction_id.substr(0, 8));
    }
  }
  return "?";
}

}  // namespace

struct Network::Exchange {
  std::uint64_t number;
  Machine& from;
  std::uint64_t process;  ///< of the sender
  Peer* to;
  HttpRequest request;
  HttpAnswered answered;  ///< empty: somebody has answered
  bool doubled = false;
};

milliseconds Network::transit() {
  const auto usual = milliseconds{chance_.between(5, 80)};
  if (!chance_.per_mille(faults_per_mille)) return usual;
  ++counts_.late;
  return milliseconds{chance_.of_any_size(22)};  // up to more than an hour
}

void Network::damage(Bytes& body, const std::string& what) {
  if (body.empty()) return;
  ++counts_.damaged;
  const std::size_t times = chance_.between(1, 3);
  for (std::size_t i = 0; i < times; ++i) {
    const std::size_t at = chance_.below(body.size());
    if (chance_.one_in(8)) {
      body.resize(at + 1);
    } else {
      body[at] = static_cast<std::uint8_t>(body[at] ^ (1U << chance_.below(8)));
    }
  }
  world_.tell("network", what + " is damaged");
}

void Network::finish(Exchange& exchange, Result<HttpReply> result) {
  if (!exchange.answered) return;
  const auto answered = std::exchange(exchange.answered, nullptr);
  answered(std::move(result));
}

void Network::send(Machine& from, HttpCall call, HttpAnswered answered) {
  constexpr std::string_view scheme = "http://";
  UMBRA_ENSURE(call.url.starts_with(scheme), "a world speaks plain HTTP");
  const std::size_t path = std::min(call.url.find('/', scheme.size()), call.url.size());
  const auto peer = peers_.find(call.url.substr(scheme.size(), path - scheme.size()));
  const std::uint64_t number = ++numbers_;
  const auto exchange = std::make_shared<Exchange>(
      Exchange{number, from, from.process(), peer == peers_.end() ? nullptr : peer->second,
               HttpRequest{call.method, path < call.url.size() ? call.url.substr(path) : "/",
                           std::move(call.body), from.name()},
               std::move(answered)});
  ++counts_.sent;
  if (world_.tells())
    world_.tell(from.name(), fmt::format("sends #{}: {}", number, word_of(exchange->request)));
  const milliseconds waits{call.spread.count() > 0 ? chance_.below(static_cast<std::uint64_t>(
                                                         milliseconds(call.spread).count()))
                                                   : 0};
  world_.post(&from, waits + call.patience,
              [exchange] { finish(*exchange, fail(Errc::unreachable, "no answer in time")); });
  if (chance_.per_mille(faults_per_mille)) {
    ++counts_.lost;
    world_.tell("network", fmt::format("#{} is lost", number));
    return;
  }
  world_.post(nullptr, waits + transit(), [this, exchange] { arrive(exchange); });
  if (chance_.per_mille(faults_per_mille)) {
    ++counts_.doubled;
    world_.tell("network", fmt::format("#{} is doubled", number));
    exchange->doubled = true;
    world_.post(nullptr, waits + milliseconds{chance_.of_any_size(27)},
                [this, exchange] { arrive(exchange); });
  }
}

void Network::arrive(const std::shared_ptr<Exchange>& exchange) {
  if (exchange->to == nullptr || !exchange->to->runs()) {
    world_.tell("network", fmt::format("#{}: nobody is there", exchange->number));
    world_.post(&exchange->from, transit(), [exchange] {
      if (exchange->from.process() == exchange->process)
        finish(*exchange, fail(Errc::unreachable, "connection refused"));
    });
    return;
  }
  HttpRequest request = exchange->request;
  if (chance_.per_mille(faults_per_mille))
    damage(request.body, fmt::format("#{}", exchange->number));
  const std::uint64_t process = exchange->to->process();
  // In the server's own turn, with its own threads.
  world_.post(exchange->to, milliseconds{0}, [this, exchange, request, process] {
    exchange->to->handle(request, [this, exchange, process](HttpReply reply) {
      if (!exchange->to->runs() || exchange->to->process() != process) return;  // never left
      if (reply.shared) reply.body = *std::exchange(reply.shared, nullptr);
      answer(exchange, std::move(reply));
    });
  });
}

void Network::answer(const std::shared_ptr<Exchange>& exchange, HttpReply reply) {
  if (leaves) leaves(*exchange->to, exchange->request, reply);
  if (world_.tells()) {
    world_.tell(exchange->to->name(), fmt::format("answers #{}: {}, {} octets", exchange->number,
                                                  reply.status, reply.body.size()));
  }
  if (chance_.per_mille(faults_per_mille)) {
    ++counts_.lost;
    world_.tell("network", fmt::format("the answer to #{} is lost", exchange->number));
    return;
  }
  // Nothing signs what a CA can do: whoever damages that can mislead, and TCP's sum is what there
  // is against it.
  const bool is_signed = exchange->request.target.find("GetCACaps") == std::string::npos;
  if (is_signed && chance_.per_mille(faults_per_mille))
    damage(reply.body, fmt::format("the answer to #{}", exchange->number));
  // Whoever has asked may have died meanwhile.
  world_.post(nullptr, transit(), [this, exchange, reply = std::move(reply)] {
    if (!exchange->from.runs() || exchange->from.process() != exchange->process) return;
    world_.post(&exchange->from, milliseconds{0}, [exchange, reply] { finish(*exchange, reply); });
  });
}

}  // namespace umbra::simulation
