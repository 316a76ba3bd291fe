package persistencetest_test

import (
	"cmp"
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// alteredTimers changes timers before they are stored.
func alteredTimers(change func(timer *egopb.Timer)) func(m *memory.Store) persistencetest.Stores {
	return override(func(o *overridden, m *memory.Store) {
		o.scheduleTimers = func(ctx context.Context, timers []*egopb.Timer) error {
			timers = slices.Clone(timers)
			for i, timer := range timers {
				if timer != nil {
					timers[i] = proto.CloneOf(timer)
					change(timers[i])
				}
			}
			return m.ScheduleTimers(ctx, timers)
		}
	})
}

func brokenTimers() []broken {
	return []broken{
		{"ListsTimersBackwards", []string{"Timers/Schedule"}, override(func(o *overridden, m *memory.Store) {
			o.ownerTimers = func(ctx context.Context, owner string) ([]*egopb.Timer, error) {
				timers, err := m.OwnerTimers(ctx, owner)
				slices.Reverse(timers)
				return timers, err
			}
		})},
		{"KeepsVersion", []string{"Timers/ScheduleAgainReplaces"}, override(func(o *overridden, m *memory.Store) {
			o.ownerTimers = func(ctx context.Context, owner string) ([]*egopb.Timer, error) {
				timers, err := m.OwnerTimers(ctx, owner)
				for _, timer := range timers {
					timer.Version = 1
				}
				return timers, err
			}
		})},
		{"KeepsFirstTimer", []string{"Timers/ScheduleAgainReplaces", "Timers/Next"}, override(func(o *overridden, m *memory.Store) {
			o.scheduleTimers = func(ctx context.Context, timers []*egopb.Timer) error {
				for _, timer := range timers {
					if known(ctx, m, timer) == nil {
						if err := m.ScheduleTimers(ctx, []*egopb.Timer{timer}); err != nil {
							return err
						}
					}
				}
				return nil
			}
		})},
		{"SchedulesOneByOne", []string{"Timers/ScheduleIsAtomic"}, override(func(o *overridden, m *memory.Store) {
			o.scheduleTimers = func(ctx context.Context, timers []*egopb.Timer) error {
				for _, timer := range timers {
					if err := m.ScheduleTimers(ctx, []*egopb.Timer{timer}); err != nil {
						return err
					}
				}
				return nil
			}
		})},
		{"DropsTimerKey", []string{"Timers/AllFields"}, alteredTimers(func(timer *egopb.Timer) { timer.KeyId = "" })},
		{"FoldsOwners", []string{"Timers/OddIDs"}, alteredTimers(func(timer *egopb.Timer) {
			timer.Owner = cmp.Or(fold(timer.GetOwner()), timer.GetOwner())
		})},
		{"CancelsAll", []string{"Timers/CancelNamed"}, override(func(o *overridden, m *memory.Store) {
			o.cancelTimers = func(ctx context.Context, owner string, _ ...string) error { return m.CancelTimers(ctx, owner) }
		})},
		{"CancelsNamedOnly", []string{"Timers/CancelAll"}, override(func(o *overridden, m *memory.Store) {
			o.cancelTimers = func(ctx context.Context, owner string, names ...string) error {
				return m.CancelTimers(ctx, owner, append(names, "no such timer")...)
			}
		})},
		{"RoundsDueTimes", []string{"Timers/Next"}, override(func(o *overridden, m *memory.Store) {
			o.nextTimer = func(ctx context.Context) (time.Time, bool, error) {
				due, ok, err := m.NextTimer(ctx)
				return due.Truncate(time.Microsecond), ok, err
			}
		})},
		{"SharesTimers", []string{"Timers/KeepsAndSharesNothing"}, override(func(o *overridden, m *memory.Store) {
			var shared []*egopb.Timer
			o.ownerTimers = func(ctx context.Context, owner string) (_ []*egopb.Timer, err error) {
				if shared == nil {
					shared, err = m.OwnerTimers(ctx, owner)
				}
				return shared, err
			}
		})},
	}
}

// known returns the timer with the owner and name of another one.
func known(ctx context.Context, m *memory.Store, like *egopb.Timer) *egopb.Timer {
	timers, _ := m.OwnerTimers(ctx, like.GetOwner())
	for _, timer := range timers {
		if timer.GetName() == like.GetName() {
			return timer
		}
	}
	return nil
}

// A claimer is ClaimTimers of a store.
type claimer = func(ctx context.Context, now time.Time, claim time.Duration, limit int) ([]*egopb.Timer, error)

func claims(by func(m *memory.Store) claimer) func(m *memory.Store) persistencetest.Stores {
	return override(func(o *overridden, m *memory.Store) { o.claimTimers = by(m) })
}

func brokenClaims() []broken {
	return []broken{
		{"ClaimsOverdueOnly", []string{"Timers/ClaimDueOnly"}, claims(func(m *memory.Store) claimer {
			return func(ctx context.Context, now time.Time, claim time.Duration, limit int) ([]*egopb.Timer, error) {
				return m.ClaimTimers(ctx, now.Add(-1), claim, limit)
			}
		})},
		{"ClaimsEarly", []string{"Timers/ClaimDueOnly"}, claims(func(m *memory.Store) claimer {
			return func(ctx context.Context, now time.Time, claim time.Duration, limit int) ([]*egopb.Timer, error) {
				return m.ClaimTimers(ctx, now.Add(time.Hour), claim, limit)
			}
		})},
		{"ClaimsLatestFirst", []string{"Timers/ClaimEarliestFirst"}, claims(func(m *memory.Store) claimer {
			return func(ctx context.Context, now time.Time, claim time.Duration, limit int) ([]*egopb.Timer, error) {
				timers, err := m.ClaimTimers(ctx, now, claim, limit)
				slices.Reverse(timers)
				return timers, err
			}
		})},
		{"IgnoresClaimLimit", []string{"Timers/ClaimEarliestFirst"}, claims(func(m *memory.Store) claimer {
			return func(ctx context.Context, now time.Time, claim time.Duration, _ int) ([]*egopb.Timer, error) {
				return m.ClaimTimers(ctx, now, claim, 1_000)
			}
		})},
		{"ClaimsTwice", []string{
			"Timers/ClaimIsExclusive", "Timers/ClaimByManyClaimers", "Timers/ClaimEarliestFirst", "Reopen/ClaimHoldsBetweenProcesses",
		}, override(claimsTwice)},
		{"ClaimsByTheCallersClock", []string{"Timers/ClaimIsExclusive"}, override(claimsByTheCallersClock)},
		{"LosesClaimed", []string{"Timers/ClaimExpires", "Timers/ReplacedWhileClaimed"}, claims(func(m *memory.Store) claimer {
			claimed := make(map[string]bool)
			return func(ctx context.Context, now time.Time, claim time.Duration, limit int) ([]*egopb.Timer, error) {
				timers, err := m.ClaimTimers(ctx, now, claim, limit)
				return slices.DeleteFunc(timers, func(timer *egopb.Timer) bool {
					lost := claimed[timer.GetOwner()+timer.GetName()]
					claimed[timer.GetOwner()+timer.GetName()] = true
					return lost
				}), err
			}
		})},
		{"CountsNoAttempts", []string{"Timers/ClaimExpires"}, claims(func(m *memory.Store) claimer {
			return func(ctx context.Context, now time.Time, claim time.Duration, limit int) ([]*egopb.Timer, error) {
				timers, err := m.ClaimTimers(ctx, now, claim, limit)
				for _, timer := range timers {
					timer.Attempts = 1
				}
				return timers, err
			}
		})},
		{"TakesAnyClaim", []string{"Timers/ClaimInvalidArguments"}, claims(func(m *memory.Store) claimer {
			return func(ctx context.Context, now time.Time, claim time.Duration, limit int) ([]*egopb.Timer, error) {
				return m.ClaimTimers(ctx, now, max(claim, 1), max(limit, 1))
			}
		})},
		{"CompletesNothing", []string{"Timers/Complete", "Timers/ClaimExpires"}, override(func(o *overridden, _ *memory.Store) {
			o.completeTimer = func(context.Context, string, string, uint64) error { return nil }
		})},
		{"CompletesAnyVersion", []string{"Timers/CompleteOfOldVersion", "Timers/CompleteAfterReschedule"}, override(func(o *overridden, m *memory.Store) {
			o.completeTimer = func(ctx context.Context, owner, name string, _ uint64) error { return m.CancelTimers(ctx, owner, name) }
		})},
		{"CompletesWhatOthersHold", []string{"Timers/CompleteMany"}, override(func(o *overridden, m *memory.Store) {
			o.completeTimers = func(ctx context.Context, timers []*egopb.Timer) error {
				for _, timer := range timers {
					if err := m.CancelTimers(ctx, timer.GetOwner(), timer.GetName()); err != nil {
						return err
					}
				}
				return nil
			}
		})},
		{"CompletesNoneOfMany", []string{"Timers/CompleteMany"}, override(func(o *overridden, _ *memory.Store) {
			o.completeTimers = func(context.Context, []*egopb.Timer) error { return nil }
		})},
		{"ReleasesNoTimers", []string{"Timers/ReleaseMany"}, override(func(o *overridden, _ *memory.Store) {
			o.releaseTimers = func(context.Context, []*egopb.Timer) error { return nil }
		})},
		{"ReleasesBySettingAnew", []string{"Timers/ReleaseMany"}, override(func(o *overridden, m *memory.Store) {
			o.releaseTimers = m.ScheduleTimers
		})},
		{"StartsVersionsAgain", []string{"Timers/CompleteAfterReschedule"}, startsVersionsAgain},
	}
}

// claimsTwice hands out what others have claimed.
func claimsTwice(o *overridden, m *memory.Store) {
	o.claimTimers = func(ctx context.Context, now time.Time, claim time.Duration, limit int) ([]*egopb.Timer, error) {
		if claim <= 0 || limit < 1 {
			return nil, persistence.ErrInvalidArgument
		}
		timers, err := m.ClaimTimers(ctx, now, 1, limit)
		pass() // the claim is over
		return timers, err
	}
}

// claimsByTheCallersClock lets claims expire by the time that the caller gives.
func claimsByTheCallersClock(o *overridden, m *memory.Store) {
	var claimed []*egopb.Timer
	var until time.Time
	o.claimTimers = func(ctx context.Context, now time.Time, claim time.Duration, limit int) ([]*egopb.Timer, error) {
		if len(claimed) > 0 && now.After(until) {
			return claimed, nil
		}
		timers, err := m.ClaimTimers(ctx, now, claim, limit)
		if len(timers) > 0 {
			claimed, until = timers, now.Add(claim)
		}
		return timers, err
	}
}

// startsVersionsAgain counts versions of a name from one when no timer of that name is left.
func startsVersionsAgain(m *memory.Store) persistencetest.Stores {
	base := make(map[string]uint64)
	key := func(timer *egopb.Timer) string { return timer.GetOwner() + "/" + timer.GetName() }
	shown := func(timers []*egopb.Timer, err error) ([]*egopb.Timer, error) {
		for _, timer := range timers {
			timer.Version -= base[key(timer)]
		}
		return timers, err
	}
	return one(&overridden{
		Store: m,
		scheduleTimers: func(ctx context.Context, timers []*egopb.Timer) error {
			for _, timer := range timers {
				isNew := known(ctx, m, timer) == nil
				if err := m.ScheduleTimers(ctx, []*egopb.Timer{timer}); err != nil {
					return err
				}
				if isNew {
					base[key(timer)] = known(ctx, m, timer).GetVersion() - 1
				}
			}
			return nil
		},
		claimTimers: func(ctx context.Context, now time.Time, claim time.Duration, limit int) ([]*egopb.Timer, error) {
			return shown(m.ClaimTimers(ctx, now, claim, limit))
		},
		ownerTimers: func(ctx context.Context, owner string) ([]*egopb.Timer, error) {
			return shown(m.OwnerTimers(ctx, owner))
		},
		completeTimer: func(ctx context.Context, owner, name string, version uint64) error {
			return m.CompleteTimer(ctx, owner, name, version+base[owner+"/"+name])
		},
	})
}
