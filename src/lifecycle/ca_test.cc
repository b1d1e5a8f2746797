#include "lifecycle/ca.h"

#include "lifecycle/lab_test.h"

namespace umbra::lifecycle {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

// The guide's CA: 730 days from 2015-10-09 12:14:16.
const CaSettings guide{.lifetime_ca = Days{730}, .lifetime_crl = hours{6}, .overlap = Days{90}};
CaFacts fresh() {
  return {.active = {day(0), day(730)}, .rollover = {}, .crl_next_update = zero + hours{6}};
}

TEST(Validity, NoCertificateOutlivesItsCa) {
  const Validity ca{day(0), day(730)};
  struct Row {
    int issued;
    int ends;
  };
  for (const auto& [issued, ends] :
       {Row{1, 366}, Row{200, 565}, Row{365, 730}, Row{400, 730}, Row{585, 730}, Row{700, 730}}) {
    EXPECT_EQ(issued_validity(day(issued), Days{365}, ca)->not_after, day(ends)) << issued;
  }
  EXPECT_FALSE(issued_validity(day(730), Days{365}, ca))
      << "nothing is issued on the CA's last second";
  EXPECT_FALSE(issued_validity(day(0) - Seconds{1}, Days{365}, ca));
}

TEST(Validity, TheNextCaBeginsOnTheSecondTheActiveOneEnds) {
  const Validity next = rollover_ca_validity(Days{730}, {day(0), day(730)});
  EXPECT_EQ(next, (Validity{day(730), day(1460)}));
  EXPECT_EQ(shadow_validity(Days{365}, next), (Validity{day(730), day(1095)}));
  EXPECT_EQ(shadow_validity(Days{3650}, next), next);
  const Time made = *from_rfc3339("2024-02-27T09:45:52Z");
  EXPECT_EQ(to_rfc3339(made + Days{1095}), "2027-02-26T09:45:52Z");
}

TEST(Validity, NothingEndsAfterTheEndOfTime) {
  EXPECT_EQ(to_rfc3339(end_of_time), "9999-12-31T23:59:59Z");
  EXPECT_EQ(ends_at(end_of_time - Days{10}, Days{10} - Seconds{1}), end_of_time - Seconds{1});
  EXPECT_EQ(ends_at(end_of_time - Days{10}, Days{10}), end_of_time);
  EXPECT_EQ(ends_at(end_of_time - Days{10}, Days{7305}), end_of_time);
  EXPECT_EQ(ends_at(zero, Days{7305}), day(7305));
  const Validity last = rollover_ca_validity(Days{7305}, {zero, end_of_time - Days{1}});
  EXPECT_EQ(last, (Validity{end_of_time - Days{1}, end_of_time}));
  EXPECT_EQ(issued_validity(end_of_time - Seconds{1}, Days{365}, last)->not_after, end_of_time);
}

TEST(CaDue, ACaThatEndsWithTimeIsFollowedByNone) {
  CaFacts last = fresh();
  last.active = {end_of_time - Days{730}, end_of_time};
  last.crl_next_update = end_of_time;
  EXPECT_FALSE(shadow_generation_at(guide, last));
  EXPECT_EQ(due(guide, last, end_of_time - Seconds{1}), std::nullopt);
  EXPECT_EQ(due(guide, last, end_of_time), CaAction::stop_expired);
  last.active.not_after = end_of_time - Seconds{1};
  EXPECT_EQ(due(guide, last, end_of_time - Days{1}), CaAction::generate_rollover);
}

TEST(CaDeadlines, AreTheGuidesThreeTimers) {
  const auto all = deadlines(guide, fresh());
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0], (Deadline{zero + hours{6}, Timer::cs_crl_update, ""}));
  EXPECT_EQ(all[1], (Deadline{day(640), Timer::cs_shadow_cert_generation, ""}));
  EXPECT_EQ(all[2], (Deadline{day(730), Timer::cs_cert_expire, ""}));
  EXPECT_EQ(label(all[1]), "CS SHADOW CERT GENERATION");
}

TEST(CaDeadlines, AnOverlapOfMinutesIsExact) {
  const Time end = *from_rfc3339("2025-01-14T08:48:17Z");
  const CaFacts facts{.active = {end - Days{1095}, end}, .rollover = {}, .crl_next_update = {}};
  EXPECT_EQ(to_rfc3339(*shadow_generation_at(
                {.lifetime_ca = {}, .lifetime_crl = {}, .overlap = minutes{20}}, facts)),
            "2025-01-14T08:28:17Z");
}

TEST(CaDeadlines, AfterTheSwitchTheNextGenerationIsDay1370) {
  const CaFacts switched{.active = {day(730), day(1460)}, .rollover = {}, .crl_next_update = {}};
  EXPECT_EQ(*shadow_generation_at(guide, switched), day(1370));
}

TEST(CaDue, GeneratesSwitchesAndPublishesEachInItsTime) {
  CaFacts facts = fresh();
  EXPECT_FALSE(due(guide, facts, zero));
  EXPECT_EQ(due(guide, facts, zero + hours{6}), CaAction::publish_crl);
  facts.crl_next_update = day(10000);
  EXPECT_FALSE(due(guide, facts, day(640) - Seconds{1}));
  EXPECT_EQ(due(guide, facts, day(640)), CaAction::generate_rollover);
  facts.rollover = Validity{day(730), day(1460)};
  EXPECT_FALSE(due(guide, facts, day(730) - Seconds{1}));
  EXPECT_EQ(due(guide, facts, day(730)), CaAction::switch_over);
}

TEST(CaDue, CatchesUpInOrderAfterYearsOfDowntime) {
  CaFacts facts = fresh();
  EXPECT_EQ(due(guide, facts, day(800)), CaAction::generate_rollover)
      << "a missed generation is made up for first";
  facts.rollover = Validity{day(730), day(1460)};
  EXPECT_EQ(due(guide, facts, day(800)), CaAction::switch_over);
  facts = {.active = {day(730), day(1460)}, .rollover = {}, .crl_next_update = day(700)};
  EXPECT_EQ(due(guide, facts, day(800)), CaAction::publish_crl);
}

TEST(CaDue, WithoutAutoRolloverTheCaStopsAtItsEnd) {
  const CaSettings without{.lifetime_ca = Days{730}, .lifetime_crl = hours{6}, .overlap = {}};
  CaFacts facts = fresh();
  EXPECT_EQ(due(without, facts, day(730)), CaAction::stop_expired);
  facts.rollover = Validity{day(730), day(1460)};
  EXPECT_EQ(due(without, facts, day(730)), CaAction::switch_over)
      << "a rollover made by hand counts";
}

TEST(CaDue, ACancelledRolloverIsNotMadeAgainByItself) {
  CaFacts facts = fresh();
  facts.rollover_cancelled = true;
  facts.crl_next_update = day(10000);
  EXPECT_FALSE(due(guide, facts, day(700)));
  EXPECT_EQ(due(guide, facts, day(730)), CaAction::stop_expired);
}

TEST(CaReception, IsByTheAddresseeUntilItHasEnded) {
  CaFacts facts{.active = {zero, zero + Days{730}}, .rollover = {}, .crl_next_update = {}};
  const Time end = facts.active.not_after;
  EXPECT_EQ(reception(facts, Addressee::active, false, end - Seconds{1}), Reception::by_addressee);
  EXPECT_EQ(reception(facts, Addressee::retired, false, zero), Reception::refused);
  EXPECT_EQ(reception(facts, Addressee::retired, true, zero), Reception::by_active)
      << "it slept through the switch";
  EXPECT_EQ(reception(facts, Addressee::nobody, true, zero), Reception::refused);
  facts.rollover = Validity{end, end + Days{730}};
  EXPECT_EQ(reception(facts, Addressee::rollover, false, zero), Reception::by_addressee);
  EXPECT_EQ(reception(facts, Addressee::active, false, end), Reception::try_again)
      << "between the end and the switch-over nobody is sent away for good";
  EXPECT_EQ(reception(facts, Addressee::retired, true, end), Reception::try_again);
}

}  // namespace
}  // namespace umbra::lifecycle
