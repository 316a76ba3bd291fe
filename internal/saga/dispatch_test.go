package saga_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/saga"
	"github.com/actorkeep/ego/internal/testpb"
)

// post is what is behind a dispatcher: it answers attempts as a test says, and keeps what was delivered.
type post struct {
	mu        sync.Mutex
	verdicts  []saga.Verdict // of the attempts in order; the last one of all further
	attempts  []time.Duration
	repeated  []bool
	delivered []*saga.ResultInput
	refusals  int // deliveries that fail first
	began     time.Time
	running   int
	most      int
	hold      chan struct{} // attempts wait for it
}

var errPost = errors.New("as asked")

func (p *post) send(ctx context.Context, job *saga.Job) (proto.Message, saga.Verdict, error) {
	p.mu.Lock()
	p.attempts = append(p.attempts, time.Since(p.began))
	p.repeated = append(p.repeated, job.Repeated)
	verdict := p.verdicts[min(len(p.attempts), len(p.verdicts))-1]
	p.running++
	p.most = max(p.most, p.running)
	hold := p.hold
	p.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	p.mu.Lock()
	p.running--
	p.mu.Unlock()
	if verdict == saga.Succeeded {
		return new(testpb.Account), verdict, nil
	}
	return nil, verdict, errPost
}

func (p *post) deliver(_ context.Context, _ *saga.Job, outcome *saga.ResultInput) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusals > 0 {
		p.refusals--
		return true, errPost
	}
	p.delivered = append(p.delivered, outcome)
	return false, nil
}

func (p *post) outcomes() []*saga.ResultInput {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delivered
}

func (p *post) tried() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.attempts
}

func (p *post) told() []bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.repeated
}

func (p *post) busy() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running
}

func (p *post) peak() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most
}

func job(id string, retry *egopb.SagaRetry) saga.Job {
	return saga.Job{SagaID: "s", Command: &egopb.SagaCommand{CommandId: id, EntityId: "a", Retry: retry}}
}

func start(t *testing.T, p *post, limit int) *saga.Dispatcher {
	t.Helper()
	p.began = time.Now()
	d := saga.NewDispatcher(saga.DispatcherConfig{Send: p.send, Deliver: p.deliver, Limit: limit})
	t.Cleanup(func() { require.NoError(t, d.Stop(context.Background())) })
	return d
}

func TestDispatcher(t *testing.T) {
	t.Parallel()
	bubble := func(name string, test func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, test)
		})
	}

	bubble("BacksOffAndGivesUpAsThePolicySays", func(t *testing.T) {
		p := &post{verdicts: []saga.Verdict{saga.NoEffect}}
		d := start(t, p, 0)
		d.Send(job("c", &egopb.SagaRetry{
			MaxAttempts: 4, InitialDelay: durationpb.New(time.Second), MaxDelay: durationpb.New(3 * time.Second),
		}))
		<-time.After(time.Minute)
		require.Equal(t, []time.Duration{0, time.Second, 3 * time.Second, 6 * time.Second}, p.tried())
		require.Len(t, p.outcomes(), 1)
		require.ErrorIs(t, p.outcomes()[0].Failure, errPost)
		require.Zero(t, d.Pending())
	})
	bubble("RefusalIsNotSentAgain", func(t *testing.T) {
		p := &post{verdicts: []saga.Verdict{saga.Refused}}
		start(t, p, 0).Send(job("c", nil))
		<-time.After(time.Minute)
		require.Len(t, p.tried(), 1)
		require.True(t, p.outcomes()[0].GetFailed())
	})
	bubble("UnknownIsSentUntilItIsKnown", func(t *testing.T) { // G7, G9
		p := &post{verdicts: append(repeat(saga.InDoubt, 20), append(repeat(saga.NoEffect, 20), saga.Succeeded)...)}
		d := start(t, p, 0)
		d.Send(job("c", nil))
		draining := job("c", nil)
		draining.Draining = true
		d.Send(draining)
		<-time.After(time.Hour)
		require.Len(t, p.tried(), 41)
		require.NoError(t, p.outcomes()[0].Failure)
		require.False(t, p.told()[0])
		require.True(t, p.told()[1], "the next one is told to look first")
	})
	bubble("UnknownEndsWhereThePolicySays", func(t *testing.T) {
		p := &post{verdicts: []saga.Verdict{saga.InDoubt}}
		start(t, p, 0).Send(job("c", &egopb.SagaRetry{MaxUnknown: 3}))
		<-time.After(time.Hour)
		require.Len(t, p.tried(), 3)
		require.ErrorIs(t, p.outcomes()[0].Failure, errPost)
	})
	bubble("DrainingEndsWithTheFirstCertainty", func(t *testing.T) {
		p := &post{verdicts: []saga.Verdict{saga.NoEffect}}
		d := start(t, p, 0)
		j := job("c", nil)
		j.Draining = true
		d.Send(j)
		<-time.After(time.Hour)
		require.Len(t, p.tried(), 1)
	})
	bubble("CompensationIsSentForEver", func(t *testing.T) { // G7
		p := &post{verdicts: append(repeat(saga.NoEffect, 100), saga.Succeeded)}
		d := start(t, p, 0)
		j := job("c", nil)
		j.Compensating = true
		d.Send(j)
		<-time.After(time.Hour)
		require.Len(t, p.tried(), 101)
		require.NoError(t, p.outcomes()[0].Failure)
	})
	bubble("OutcomeIsDeliveredUntilItIsTaken", func(t *testing.T) {
		p := &post{verdicts: []saga.Verdict{saga.Succeeded}, refusals: 30}
		start(t, p, 0).Send(job("c", nil))
		<-time.After(time.Hour)
		require.Len(t, p.tried(), 1, "it is not sent again for that")
		require.Len(t, p.outcomes(), 1)
	})
	bubble("OneTaskPerCommandAndAtMostSoManyAttempts", func(t *testing.T) { // G12
		p := &post{verdicts: []saga.Verdict{saga.Succeeded}, hold: make(chan struct{})}
		d := start(t, p, 4)
		for range 3 {
			for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
				d.Send(job(id, nil))
			}
		}
		synctest.Wait()
		require.Equal(t, 8, d.Pending())
		require.Equal(t, 4, p.busy())
		close(p.hold)
		synctest.Wait()
		require.Len(t, p.outcomes(), 8)
		require.Equal(t, 4, p.peak())
	})
	bubble("StopCutsAttempts", func(t *testing.T) { // G12
		p := &post{verdicts: []saga.Verdict{saga.Succeeded}, hold: make(chan struct{})}
		d := start(t, p, 1)
		d.Send(job("a", nil))
		d.Send(job("b", nil))
		synctest.Wait()
		require.NoError(t, d.Stop(t.Context()))
		require.Empty(t, p.outcomes())
		d.Send(job("c", nil))
		synctest.Wait()
		require.Len(t, p.tried(), 1)
	})
}

func repeat(v saga.Verdict, n int) []saga.Verdict {
	list := make([]saga.Verdict, n)
	for i := range list {
		list[i] = v
	}
	return list
}

func TestCommandsOfAnotherProcess(t *testing.T) { // G7
	t.Parallel()
	taken := job("a", nil)
	taken.Repeated = true
	taken.Command.Timeout = durationpb.New(3 * time.Second)
	t.Run("ARefusalCountsOnceNoOtherAttemptIsUnderWay", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p := &post{verdicts: []saga.Verdict{saga.Refused}}
			start(t, p, 0).Send(taken)
			<-time.After(2999 * time.Millisecond)
			require.Empty(t, p.outcomes(), "the process that the saga was taken from may be in the middle of an attempt")
			<-time.After(time.Second)
			require.Len(t, p.outcomes(), 1)
			require.True(t, p.outcomes()[0].Checked)
			require.Equal(t, []time.Duration{0, 3 * time.Second}, p.tried())
		})
	})
	t.Run("AnEffectInTheMeantimeIsNoRefusal", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p := &post{verdicts: []saga.Verdict{saga.Refused, saga.Succeeded}}
			start(t, p, 0).Send(taken)
			<-time.After(time.Minute)
			require.Len(t, p.outcomes(), 1)
			require.NoError(t, p.outcomes()[0].Failure)
		})
	})
	t.Run("WhatIsNotWantedIsGivenUp", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p := &post{verdicts: []saga.Verdict{saga.NoEffect, saga.Unwanted, saga.Succeeded}}
			d := start(t, p, 0)
			d.Send(job("a", nil))
			<-time.After(time.Minute)
			require.Empty(t, p.outcomes())
			require.Len(t, p.tried(), 2)
			require.Zero(t, d.Pending())
		})
	})
}
