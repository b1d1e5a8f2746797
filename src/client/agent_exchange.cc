#include <fmt/format.h>

#include <algorithm>

#include "client/agent.h"
#include "client/answer.h"

namespace umbra::client {
namespace {

using lifecycle::Phase;
using EventKind = lifecycle::TrustpointEventKind;

// Keywords are a few hundred octets (RFC 8894 3.5.2).
constexpr std::size_t capabilities_max = 4096;
constexpr unsigned http_errors = 400;

bool has_path(const std::string& url) {
  const auto host = url.find("://");
  return host != std::string::npos && url.find('/', host + 3) != std::string::npos;
}

/// An old CA knows no GetCACaps, and says so; whoever is only out of order or busy has said
/// nothing.
bool has_no_capabilities(const HttpReply& reply) {
  if (reply.status == 408 || reply.status == 429) return false;
  return reply.status == 501 || (reply.status >= http_errors && reply.status < 500);
}

bool path_is_missing(const HttpReply& reply) { return reply.status == 404 || reply.status == 405; }

/// The beginning of what is no answer, for people: a proxy's page is known by it.
std::string beginning(ByteView body) {
  constexpr std::size_t octets_max = 40;
  std::string text(as_text(body).substr(0, octets_max));
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '.';
  }
  return text;
}

std::string media_type(const HttpReply& reply) {
  std::string type = reply.content_type.substr(0, reply.content_type.find(';'));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  return type;
}

}  // namespace

HttpCall Trustpoint::Agent::get(scep::Operation operation, Seconds spread) const {
  HttpCall call;
  call.spread = spread;
  // The trustpoint's name is the CA identifier, as IOS sends it.
  const auto& identifier = configuration_.ca_identifier;
  call.url =
      scep::operation_url("", operation, identifier.empty() ? configuration_.name : identifier);
  return call;
}

std::string Trustpoint::Agent::server_in_use() const {
  const auto urls = urls_of(configuration_);
  return urls.empty() ? std::string() : urls[place_of(server_, urls)];
}

std::string Trustpoint::Agent::asked_where() const {
  std::string all = configuration_.fingerprint + "\n" + configuration_.authentication_url;
  for (const auto& url : urls_of(configuration_)) all += "\n" + url;
  return all;
}

std::vector<Trustpoint::Agent::Way> Trustpoint::Agent::ways() const {
  const bool stays = static_cast<Phase>(state_.row.phase) == Phase::polling;
  const auto urls = urls_of(configuration_);
  std::vector<Way> all;
  for (std::size_t i = 0; i < (stays ? 1 : urls.size()); ++i) {
    for (auto& way : ways_to(urls[(place_of(server_, urls) + i) % urls.size()]))
      all.push_back(std::move(way));
  }
  return all;
}

Seconds Trustpoint::Agent::spread() const {
  constexpr int part_of_what_is_left = 10;
  Time end = Time::max();
  if (state_.ca) end = std::min(end, state_.ca->not_after());
  if (state_.identity) end = std::min(end, state_.identity->not_after());
  const Seconds left = std::max(end - now(), Seconds::zero());
  return std::min(configuration_.spread, left / part_of_what_is_left);
}

Seconds Trustpoint::Agent::spread_of_poll() const {
  Seconds most = spread();
  for (const auto& deadline : lifecycle::deadlines(settings_, state_.facts(come_again_), name_)) {
    if (deadline.timer != lifecycle::Timer::poll) continue;
    most = std::min(most, std::max(deadline.at - now(), Seconds::zero()) / 2);
  }
  return most;
}

std::vector<Trustpoint::Agent::Way> Trustpoint::Agent::ways_to(const std::string& url) const {
  const bool exact = exact_.contains(url);
  if (has_path(url) && scep::request_url(url, exact) != scep::request_url(url, !exact))
    return {{url, exact}, {url, !exact}};
  return {{url, exact}};
}

void Trustpoint::Agent::send(HttpCall call, Answered answered) {
  if (configuration_.enrollment_url.empty())
    return answered(*this, fail(Errc::conflict, "no enrollment url is configured"));
  go(call, ways(), std::nullopt, std::nullopt, answered);
}

void Trustpoint::Agent::send_newest(HttpCall call, Answered answered) {
  const auto number = ++newest_call_;
  if (configuration_.enrollment_url.empty())
    return answered(*this, fail(Errc::conflict, "no enrollment url is configured"));
  go(call, ways(), number, std::nullopt, answered);
}

void Trustpoint::Agent::go(const HttpCall& call, std::vector<Way> ways,
                           std::optional<std::uint64_t> number,
                           std::optional<Result<HttpReply>> best, const Answered& answered) {
  const Way way = ways.front();
  ways.erase(ways.begin());
  HttpCall made = call;
  made.url = scep::request_url(way.server, way.exact);
  // A URL may bring a query of its own.
  made.url += call.url;
  if (const auto own = made.url.find('?'); own < made.url.size() - call.url.size())
    made.url[made.url.size() - call.url.size()] = '&';
  made.source = configuration_.from.source;
  made.vrf = configuration_.from.vrf;
  // Without the query, which may be the whole message.
  debug_message(fmt::format("Sending HTTP message: {} {}, {} bytes", made.method,
                            made.url.substr(0, made.url.find('?')), made.body.size()));
  environment_.transport.send(
      std::move(made), [weak = weak_from_this(), call, ways = std::move(ways), number, way,
                        best = std::move(best), answered](const Result<HttpReply>& reply) {
        const auto self = weak.lock();
        if (!self) return;
        self->post([call, ways, number, way, best, answered, reply](Agent& agent) {
          if (number && *number != agent.newest_call_) return;
          if (!reply) {
            agent.log(Severity::error, "SOCKETSEND", "Failed to send out message to CA server.");
          } else {
            agent.debug_message(
                fmt::format("Reply HTTP header: {}, Content-Type: {}, received msg of {} bytes",
                            reply->status, reply->content_type, reply->content().size()));
          }
          auto rest = ways;
          const bool other_path = !rest.empty() && rest.front().server == way.server;
          const bool missing = reply && path_is_missing(*reply);
          if (reply && !missing) agent.answered_by(way, reply->status == http_ok);
          if (reply && reply->status == http_ok) return answered(agent, reply);
          if (other_path && !missing) rest.erase(rest.begin());
          // What a server says counts more than that there is no such path, and that more than
          // silence.
          const auto worth = [](const Result<HttpReply>& r) {
            return !r ? 0 : path_is_missing(*r) ? 1 : 2;
          };
          const auto& next = best && worth(*best) >= worth(reply) ? *best : reply;
          if (rest.empty()) return answered(agent, next);
          HttpCall again = call;
          again.spread = Seconds::zero();
          agent.go(again, std::move(rest), number, next, answered);
        });
      });
}

void Trustpoint::Agent::answered_by(const Way& way, bool well) {
  if (way.exact) {
    exact_.insert(way.server);
  } else {
    exact_.erase(way.server);
  }
  const auto urls = urls_of(configuration_);
  const bool one_of_them = std::find(urls.begin(), urls.end(), way.server) != urls.end();
  if (!well || !one_of_them || way.server == server_in_use()) return;
  server_ = way.server;
  log(Severity::notice, "ENROLLMENT_URL",
      fmt::format("Trustpoint {}: {} answers, and is asked from now on", configuration_.name,
                  server_),
      "UMBRA");
}

void Trustpoint::Agent::turn_to_next() {
  if (static_cast<Phase>(state_.row.phase) == Phase::polling) return;
  const auto urls = urls_of(configuration_);
  if (urls.size() > 1) server_ = urls[(place_of(server_, urls) + 1) % urls.size()];
}

void Trustpoint::Agent::fetch_capabilities(std::function<void(Result<void>)> done, Seconds spread) {
  asking_capabilities_ = true;
  const auto number = ++newest_capabilities_call_;
  publish_snapshot();
  debug_scep("Client sending GetCACaps request for trustpoint " + configuration_.name);
  send(get(scep::Operation::get_ca_caps, spread),
       [done = std::move(done), number](Agent& agent, const Result<HttpReply>& reply) {
         // What another CA can do, or another server, says nothing of this one.
         if (number != agent.newest_capabilities_call_) return done({});
         agent.asking_capabilities_ = false;
         if (!reply) {
           agent.hold(reply.error());
           return done({});
         }
         if (reply->status != http_ok && !has_no_capabilities(*reply)) {
           agent.hold({Errc::unreachable, fmt::format("GetCACaps: HTTP status {}", reply->status)},
                      reply);
           return done({});
         }
         agent.say_if_no_capabilities(*reply);
         auto row = agent.state_.row;
         row.capabilities_known = true;
         row.capabilities.clear();
         if (reply->status == http_ok)
           row.capabilities = as_text(reply->body).substr(0, capabilities_max);
         const auto stored = agent.commit(std::move(row));
         if (!stored) agent.hold(stored.error());
         done(stored);
         if (stored) agent.run_due();
       });
}

void Trustpoint::Agent::hold(const Error& error, const Result<HttpReply>& answer) {
  if (!answer || !busy(*answer)) return hold(error);
  hold_until(come_again_at(*answer, now()), error);
}

void Trustpoint::Agent::say_if_no_capabilities(const HttpReply& reply) {
  const std::string text(as_text(reply.content()).substr(0, capabilities_max));
  // With no word at all, an old CA says that it knows none of this.
  const bool good = reply.status != http_ok ||
                    text.find_first_not_of(" \t\r\n") == std::string::npos ||
                    !scep::to_text(scep::parse_capabilities(text)).empty();
  const std::string odd = good ? std::string() : text;
  if (odd == odd_capabilities_) return;
  odd_capabilities_ = odd;
  if (good) return;
  log(Severity::warning, "CAPABILITIES",
      fmt::format("Trustpoint {}: the answer to GetCACaps has no word that is known ({}, \"{}\"): "
                  "the CA is taken for an old one that knows none of them",
                  configuration_.name, beginning(as_bytes(media_type(reply))),
                  beginning(as_bytes(text))),
      "UMBRA");
}

void Trustpoint::Agent::fetch_next_ca() {
  debug_scep("Client sending GetNextCACert request for trustpoint " + configuration_.name);
  send_newest(
      get(scep::Operation::get_next_ca_cert, spread()),
      [](Agent& agent, const Result<HttpReply>& answer) {
        // Of one that is busy nothing is known yet.
        const bool says_no = answer && answer->status >= http_errors && !busy(*answer);
        const auto reply = usable(answer);
        if (!reply) {
          if (says_no && !agent.settings_.is_ca && agent.state_.row.tries == 0) {
            agent.log(
                Severity::warning, "NO_ROLLOVER_CA",
                fmt::format("Trustpoint {}: the CA has no rollover certificate yet ({}); it is "
                            "asked again until it has one, or ends at {}. Its auto-rollover must "
                            "begin before SHADOW",
                            agent.configuration_.name, reply.error().detail,
                            to_rfc3339(agent.state_.ca->not_after())),
                "UMBRA");
          }
          if (agent.settings_.is_ca && agent.state_.row.tries == 0) {
            agent.log(
                Severity::warning, "CS_UPPER_ROLLOVER",
                fmt::format("The upper CA of {} ends with it, and has no rollover certificate yet "
                            "({}); it is asked again until it has one. Its auto-rollover must "
                            "begin before that of {}",
                            agent.configuration_.name, reply.error().detail,
                            agent.configuration_.name),
                "UMBRA");
          }
          return agent.on_no_answer(reply.error(), answer);
        }
        if (media_type(*reply) != scep::type_next_ca_cert) {
          return agent.on_no_answer(
              {Errc::malformed,
               fmt::format("not a GetNextCACert answer ({}, \"{}\")",
                           beginning(as_bytes(media_type(*reply))), beginning(reply->body))});
        }
        const auto next = choose_next_ca(agent.state_, reply->body, agent.configuration_);
        if (!next) return agent.on_no_answer(next.error());
        const x509::Certificate& ca = next->ca;
        if (!agent.take({EventKind::next_ca_received, {ca.not_before(), ca.not_after()}},
                        {.certificate = ca, .ras = next->ras}))
          return;
        agent.log(
            Severity::informational, "SHADOW_CA",
            fmt::format("Rollover CA certificate {} received for trustpoint {}, valid from {}",
                        ca.serial().to_hex_octets(), agent.configuration_.name,
                        to_rfc3339(ca.not_before())),
            "UMBRA");
      });
}

Result<std::optional<Credential>> Trustpoint::Agent::signs_instead() const {
  const std::string& name = configuration_.credential;
  if (name.empty() || state_.kind() != lifecycle::RequestKind::initial) return std::nullopt;
  auto found = environment_.credential ? environment_.credential(name) : std::nullopt;
  const auto of_no_use = [&](std::string_view why) {
    return fail(Errc::conflict,
                fmt::format("the request is to be signed by the certificate of trustpoint {} "
                            "(enrollment credential), which {}",
                            name, why));
  };
  if (!found) return of_no_use("has none yet");
  if (found->certificate.not_after() <= now()) return of_no_use("has expired");
  if (found->key.public_key().algorithm() != x509::KeyAlgorithm::rsa)
    return of_no_use("has no RSA key, for which alone SCEP envelopes its answers");
  return found;
}

void Trustpoint::Agent::exchange(Message message, Seconds spread) {
  if (configuration_.selfsigned) return sign_for_itself();
  if (lacks_recipient()) return look_for_recipient(message, spread);
  send_message(message, spread);
}

void Trustpoint::Agent::send_message(Message message, Seconds spread) {
  const auto instead = signs_instead();
  if (!instead) return on_no_answer(instead.error());
  const Credential* const signer = *instead ? &**instead : nullptr;
  auto prepared = make_exchange(state_, message, configuration_, environment_.random, signer);
  if (!prepared) return on_no_answer(prepared.error());
  debug_scep(prepared->type == scep::MessageType::cert_poll     ? "Client sending GetCertInitial"
             : prepared->type == scep::MessageType::renewal_req ? "Client sending RenewalReq"
                                                                : "Client sending PKCSReq");
  prepared->call.spread = spread;
  send_newest(
      std::move(prepared->call), [expected = std::move(prepared->expected), instead = *instead,
                                  session = counted_session(environment_.counters)](
                                     Agent& agent, const Result<HttpReply>& answer) {
        const auto reply = usable(answer);
        if (!reply) return agent.on_no_answer(reply.error(), answer);
        const auto opened = open_answer(agent.state_, reply->body, expected, agent.configuration_,
                                        instead ? &*instead : nullptr);
        if (Counters* const counters = agent.environment_.counters)
          ++(opened ? counters->validated : counters->refused);
        if (!opened) {
          // An RA whose certificate was lost on the way. Whoever has had a certificate knows who
          // answers: nobody new comes in there.
          agent.stranger_answered_ = opened.error().code == Errc::crypto &&
                                     agent.state_.ras.empty() && !agent.state_.identity;
          return agent.on_no_answer(opened.error());
        }
        agent.believe(*opened);
      });
}

void Trustpoint::Agent::on_cert_rep(const scep::CertRep& reply) {
  switch (reply.status) {
    case scep::PkiStatus::success: {
      const auto granted = choose_granted(state_, reply.certificates, configuration_.role, now());
      if (!granted) return on_no_answer(granted.error());
      if (!(granted->subject() == state_.request->subject())) {
        log(Severity::notice, "SUBJECT",
            "The CA has changed the subject name of trustpoint " + configuration_.name + " to " +
                granted->subject().joined(),
            "UMBRA");
      }
      debug_scep("Client received CertRep - GRANTED");
      debug("status = 100: certificate is granted");
      take({EventKind::granted, {granted->not_before(), granted->not_after()}},
           {.certificate = *granted});
      return;
    }
    case scep::PkiStatus::pending:
      debug_scep("Client received CertRep - PENDING");
      debug("status = 102: certificate request pending");
      take({EventKind::pending, {}});
      return;
    case scep::PkiStatus::failure:
      debug_scep("Client received CertRep - REJECTED");
      debug("status = 101: certificate request is rejected");
      if (reply.fail_info) debug(fmt::format("Fail Info={}", static_cast<int>(*reply.fail_info)));
      if (!reply.fail_info_text.empty()) debug(reply.fail_info_text);
      if ((settings_.is_ca || settings_.is_ra) && reply.fail_info == scep::FailInfo::bad_cert_id &&
          static_cast<Phase>(state_.row.phase) == Phase::polling) {
        log(Severity::notice, "CS_UPPER_FORGOT",
            fmt::format("The upper CA of {} knows its request no more; it is asked again",
                        configuration_.name),
            "UMBRA");
        take({EventKind::forgotten, {}});
        return;
      }
      take({EventKind::rejected, {}});
      log(Severity::informational, "CERTREJECT",
          "Certificate enrollment request was rejected by Certificate Authority for Trustpoint " +
              configuration_.name);
      wants_a_person();
      return;
  }
}

void Trustpoint::Agent::no_answer(const Error& error) const {
  log(Severity::warning, "NO_ANSWER",
      "Trustpoint " + configuration_.name + ": no usable answer from the CA: " + error.detail,
      "UMBRA");
}

void Trustpoint::Agent::on_no_answer(const Error& error, const Result<HttpReply>& answer) {
  if (!answer || !busy(*answer)) return on_no_answer(error);
  const Time at = come_again_at(*answer, now());
  turn_to_next();
  if (!take({EventKind::no_answer, {}, at})) return;
  log(Severity::notice, "COME_AGAIN",
      fmt::format("Trustpoint {}: the CA is busy and asks to be asked again in {} seconds",
                  configuration_.name, answer->retry_after->count()),
      "UMBRA");
}

void Trustpoint::Agent::on_no_answer(const Error& error) {
  no_answer(error);
  turn_to_next();
  const auto phase = static_cast<Phase>(state_.row.phase);
  if (state_.row.tries == 0 && (phase == Phase::requesting || phase == Phase::fetching_next_ca))
    log(Severity::informational, "AUTOCERTFAIL",
        "Certificate (re)enrollment failed. Delaying before retry");
  take({EventKind::no_answer, {}});
}

}  // namespace umbra::client
