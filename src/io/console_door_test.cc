#include "io/console_door.h"

#include <gtest/gtest.h>

namespace umbra::io {
namespace {

using console::Privilege;

TEST(ConsoleDoor, RootItsOwnUserAndTheGroupMayEverythingTheOtherGroupMayLook) {
  const ConsoleGroups groups{100, 200};
  const uid_t own = 500;
  EXPECT_EQ(privilege_of({0, 0}, own, groups), Privilege::full);
  EXPECT_EQ(privilege_of({500, 7}, own, groups), Privilege::full);
  EXPECT_EQ(privilege_of({1000, 100}, own, groups), Privilege::full);
  EXPECT_EQ(privilege_of({1000, 7, {8, 100}}, own, groups), Privilege::full);
  EXPECT_EQ(privilege_of({1000, 200}, own, groups), Privilege::view);
  EXPECT_EQ(privilege_of({1000, 7, {200}}, own, groups), Privilege::view);
  EXPECT_EQ(privilege_of({1000, 7, {200, 100}}, own, groups), Privilege::full);
  EXPECT_EQ(privilege_of({1000, 0, {7}}, own, groups), Privilege::none) << "root's group is none";
  EXPECT_EQ(privilege_of({1000, 7, {8}}, own, groups), Privilege::none);
  EXPECT_EQ(privilege_of({1000, 7, {0}}, own, {}), Privilege::none) << "a group that is not there";
}

TEST(ConsoleDoor, WhoHasNoNameHasANumber) {
  EXPECT_EQ(name_of({0, 0}), "root");
  EXPECT_EQ(name_of({3999999999U, 0}), "uid 3999999999");
}

}  // namespace
}  // namespace umbra::io
