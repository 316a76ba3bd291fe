package mongotest

import (
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// setName is what a server behind a proxy calls its replica set.
const setName = "pretended"

// PretendPrimary changes the answer to a greeting: the server, which stands alone, says that it is the only member of a
// replica set, and its primary, under the address of the proxy.
func (p *Proxy) PretendPrimary(answer bson.D) bson.D {
	answer = p.pretendMember(answer)
	answer = Set(answer, "isWritablePrimary", true)
	answer = Set(answer, "ismaster", true)
	return Set(answer, "primary", p.address())
}

// PretendSecondary changes the answer to a greeting: the server says that it is a secondary of a replica set.
func (p *Proxy) PretendSecondary(answer bson.D) bson.D {
	answer = p.pretendMember(answer)
	answer = Set(answer, "isWritablePrimary", false)
	answer = Set(answer, "ismaster", false)
	return Set(answer, "secondary", true)
}

func (p *Proxy) pretendMember(answer bson.D) bson.D {
	answer = Set(answer, "setName", setName)
	answer = Set(answer, "setVersion", int32(1))
	answer = Set(answer, "hosts", bson.A{p.address()})
	answer = Set(answer, "me", p.address())
	return Set(answer, "logicalSessionTimeoutMinutes", int32(30))
}

// PretendReplicaSet has the server pretend to be the primary of a replica set from now on, for clients that connect with
// [Proxy.ReplicaSetURL]. judge decides on all that is not a greeting, as with [Proxy.Judge]; it may be nil. What it lets
// through goes to the server without session and transaction, which the server does not have.
func (p *Proxy) PretendReplicaSet(judge func(c Command) Verdict) {
	p.Judge(func(c Command) Verdict {
		var v Verdict
		switch {
		case c.IsGreeting():
			return Verdict{Change: p.PretendPrimary}
		case judge != nil:
			v = judge(c)
		}
		if v.Answer == nil && v.Send == nil {
			v.Send = c.Plain()
		}
		return v
	})
}

// ReplicaSetURL returns the connection string for a proxy whose server pretends to be a replica set.
func (p *Proxy) ReplicaSetURL() string {
	return "mongodb://" + p.address() + "/?replicaSet=" + setName + "&heartbeatFrequencyMS=500"
}

func (p *Proxy) address() string { return p.listener.Addr().String() }

// Plain returns a command as a server that stands alone takes it, without session and transaction.
func (c Command) Plain() Command {
	plain := c.Without("lsid", "txnNumber", "startTransaction", "autocommit", "$clusterTime")
	if level, ok := plain.Get("readConcern", "level").(string); ok && strings.EqualFold(level, "snapshot") {
		plain = plain.Without("readConcern")
	}
	return plain
}
