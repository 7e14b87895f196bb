package chaos

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A mode is a way to fail that a pool in a cloud has, and the tests that hold what is
// done about it, each by its folder and its name.
type mode struct {
	what  string
	tests []string
}

// modes are 28, each by its number less one.
func modes() []mode {
	return []mode{
		{"a create timed out and happened", []string{
			"scaler/pool/digitalocean TestACreateWhoseAnswerWasLostIsFoundAgainAndNotDoubled", "scaler/pool/digitalocean TestACreateThatNeverArrivedIsAskedForAgainOnceListsCannotLag",
			"scaler/pool/gce TestAGrowthWhoseAnswerWasLostIsNotDoneTwice", "scaler/pool/gce TestARepeatedStepHasTheSameRequestID",
		}},
		{"of many that were asked for some are made", []string{"scaler/pool/digitalocean TestOfAChunkOfWhichHalfIsNotMadeTheOthersAreMembersAndTheRestIsMadeAgain"}},
		{"accepted, and then not found", []string{
			"scaler/pool/digitalocean TestADropletThatIsAcceptedAndThenNotFoundIsNoticed", "scaler/pool/gce TestMembersThatWereAcceptedAndAreGoneAreNoMembers",
		}},
		{"the limit of Droplets", []string{
			"scaler/pool/digitalocean TestBeforeTheDropletLimitTheHeadroomIsAskedForAndTheRestIsSaid", "scaler/pool/digitalocean TestANodePoolBeyondTheLimitLacksCapacity",
			"rules TestALackOfCapacityHoldsUpGrowthOnlyAndSaysItInTheProvidersWords",
		}},
		{"too many requests", []string{
			"scaler/pool/digitalocean TestTheAPIIsLeftAloneAsLongAsItSays", "scaler/pool/digitalocean TestTheLastCallsOfAnHourAreKeptForGrowth",
			"scaler/pool/gce TestTooManyRequestsAreFollowedByNoneUntilTheNextMinute",
		}},
		{"quota and stock-out", []string{
			"scaler/pool/digitalocean TestASizeThatIsSoldOutIsLeftForAWhileAndTheNextIsTaken", "scaler/pool/digitalocean TestWhereNothingIsToBeHadNothingIsAskedForFiveToThirtyMinutes",
			"scaler/pool/gce TestWhatIsSoldOutIsHandedBackAndGrowthWaits", "scaler/pool/gce TestAUsedUpQuotaBoundsThePoolWhileItLasts",
			"scaler/pool/gce TestOneZoneThatIsSoldOutDoesNotStopGrowthInTheOthers", "rules TestALackOfCapacityWaitsForMinutesAndEverLonger",
		}},
		{"a machine that stays in the making", []string{
			"scaler/pool/digitalocean TestADropletThatStaysNewIsDeadAndBlocksNobody", "scaler/pool/gce TestAMemberThatCannotBeMadeCountsOnceAsAFailedGrowth",
		}},
		{"active, and never healthy", []string{
			"scaler/pool TestAMemberThatTheProviderCallsReadyBootsUntilItSaysSoItself", "rules TestReplacementsForHealthAreLimitedPerHour",
		}},
		{"a pending event keeps it from being ended", []string{"scaler/pool/digitalocean TestAPendingEventIsWaitedFor"}},
		{"deleted, and still listed", []string{
			"scaler/pool/digitalocean TestADeletedDropletThatIsStillListedLeavesAndIsNoCapacity", "scaler/pool/gce TestAListThatLagsMakesNobodyTwiceAndEndsNobodyTwice",
		}},
		{"a human adds, ends, turns off, takes tags", []string{
			"scaler/pool/digitalocean TestWhatAHumanDoesIsSeenAndNeverPutRightByForce", "scaler/pool/gce TestMembersThatAHumanEndedAreDeadWhereTheGroupDoesNotRepair",
			"scaler/pool TestDriftIsToldExactlyWhenManyVanish", "scaler/pool TestAnEmptyFolderAdoptsWhoIsThere",
		}},
		{"two who set the size", []string{
			"scaler/pool/gce TestAGroupThatSomebodyElseResizesIsNotActedOn", "scaler/pool/digitalocean TestAnAutoscalePoolThatScalesByItselfIsLeftAlone",
			"scaler/pool/digitalocean TestANodePoolThatScalesByItselfIsLeftAlone",
		}},
		{"killed between intention and deed", []string{
			"scaler TestKilledAtEveryBoundaryOfAStep", "scaler/pool/chaos TestKilledAtEveryBoundaryOfGrowingAndShrinking", "scaler/pool/chaos TestChaos",
		}},
		{"split brain", []string{"scaler/pool/chaos TestTwoFlyballsOfOnePoolKeepItsBoundsAndLeaveNoDouble", "scaler/journal TestASecondProcessIsToldWhoHasTheFolder"}},
		{"the clock jumps", []string{"rules TestAClockThatWentBackHoldsNothingForThatLong"}}, // there is no calendar in the rules yet
		{"what is measured is missing, stale, in part, of several, reset", []string{
			"rules TestMissingDataBarsScaleInForOneWindowMore", "rules TestOneInvalidSignalBarsScaleInAndNotScaleOut",
			"rules TestAPoolWideSignalIsCoveredByTheMembersUp", "collector/store TestAVanishedTargetIsReadForTheLookbackAndSeenAsOldAsItIs",
			". TestDoubtNeverShrinksAPool",
		}},
		{"what is measured counts those that boot", []string{"rules TestABandAddsWaitsForTheWarmUpAndGivesUpWhenItBringsNothing"}},
		{"a deploy is under way", []string{
			"rules TestARollWaits", "rules TestAnotherVersionWhileARollIsUnderWayIsRolledOutInstead", "scaler/pool/gce TestANewTemplateShowsInTheTerms",
			"scaler/pool/digitalocean TestTheVersionIsThatOfTheTemplateAndStaysWithTheMember",
		}},
		{"a rule is edited while something is done", []string{
			"scaler TestAReloadTakesOverWithoutForgetting", "scaler/traffic TestAReloadInTheMiddleOfAScaleOutLosesNothing", ". TestScripts",
		}},
		{"least above most, and budget below least", []string{"scaler/pool/chaos TestTheFloorBeatsTheCeilingAndTheCeilingBeatsTheSignals", "rules TestAnOperatorsFloor"}},
		{"Flyball runs on a member", []string{"scaler/pool/digitalocean TestTheDropletThatFlyballRunsOnIsNeverEnded", "scaler/pool/gce TestTheMemberThatFlyballRunsOnIsNeverEnded"}},
		{"image, key or user data are not there", []string{
			"scaler/pool/digitalocean TestAPreflightFindsEachMisconfigurationOfDroplets", "scaler/pool/digitalocean TestWhatNoDropletCanBeMadeOfIsSaid",
			"scaler/pool/gce TestPreflightFindsEachMisconfiguration",
		}},
		{"the victim is the balancer's last healthy one", []string{"scaler/pool/chaos TestTheLastMemberThatServesIsNotTheVictim"}},
		{"a drain exceeds its deadline", []string{"scaler/pool/chaos TestADrainEndsWithItsDeadlineAndNoSooner", "scaler/pool/digitalocean TestAMemberIsShutDownPoweredOffAndDeletedInThisOrder"}},
		{"load comes back while a member drains", []string{"scaler/pool/chaos TestLoadThatComesBackTakesADrainingMemberBack"}},
		{"the balancer's tag lags", []string{
			"scaler/pool/chaos TestAMemberIsNotEndedWhileTheBalancerMaySendItRequests", "scaler/pool/digitalocean TestTheTagsThatWereSetAreBelievedMoreThanAListThatLags",
		}},
		{"a storm of 5xx", []string{
			"scaler/pool/digitalocean TestInAStormOfFailuresNobodyIsEndedAndNobodyDoubled", "scaler/pool/gce TestAStormOfErrorsShowsNothingAndLosesNobody",
		}},
		{"the table of prices is stale", []string{"scaler/pool/chaos TestPricesAreReadDailyAndWithoutThemThePoolGoesOn"}},
	}
}

func TestEachOfThe28FailureModesHasItsTest(t *testing.T) {
	if n := len(modes()); n != 28 {
		t.Errorf("%d failure modes, want 28", n)
	}
	tests := map[string]map[string]bool{}
	for i, m := range modes() {
		if len(m.tests) == 0 {
			t.Errorf("%d: %s: no test", i+1, m.what)
		}
		for _, at := range m.tests {
			dir, name, _ := strings.Cut(at, " ")
			if tests[dir] == nil {
				tests[dir] = testsIn(t, filepath.Join("..", "..", "..", dir))
			}
			if !tests[dir][name] {
				t.Errorf("%d: %s: there is no %s in %s", i+1, m.what, name, dir)
			}
		}
	}
}

// testsIn are the tests of a folder.
func testsIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				out[fn.Name.Name] = true
			}
		}
	}
	return out
}
