package eventadapter

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// check returns all that is wrong with a chain.
func (c *Chain) check() []error {
	var problems []error
	report := func(l *link, format string, args ...any) {
		problems = append(problems, fmt.Errorf("eventadapter: %s: %s", l.step.Name, fmt.Sprintf(format, args...)))
	}
	for i := range c.links {
		l := &c.links[i]
		if l.step.Err != nil {
			report(l, "%s", l.step.Err)
			continue
		}
		if l.step.Versions == nil && slices.Contains(l.step.To, l.step.From) {
			report(l, "it makes what it takes, so it would change today's events as well; restrict it with Versions")
		}
		if earlier := c.hiding(i); earlier != nil {
			report(l, "no event can reach it: %s stands before it and takes the same", earlier.step.Name)
		} else if earlier, both := c.overlapping(i); earlier != nil {
			report(l, "%s takes versions %d to %d as well; let the ranges follow each other", earlier.step.Name, both.First, both.Last)
		}
		for _, later := range c.feeding(i) {
			report(l, "it stands before %s, whose events it should take", later.step.Name)
		}
		for _, to := range l.step.To {
			if !c.from[to] && !linked(to) {
				report(l, "it leads to %s, which is not linked into this program and which no adapter takes", to)
			}
		}
	}
	if circle := c.circle(); circle != nil {
		problems = append(problems, fmt.Errorf("eventadapter: the adapters turn in a circle: %s", strings.Join(circle, " → ")))
	}
	return problems
}

func linked(name protoreflect.FullName) bool {
	_, err := protoregistry.GlobalTypes.FindMessageByName(name)
	return err == nil
}

// hiding returns the adapter before the i-th that leaves nothing for it, nil when there is none.
func (c *Chain) hiding(i int) *link {
	step := &c.links[i].step
	if step.From == "" {
		return nil
	}
	for h := range i {
		earlier := &c.links[h].step
		known := earlier.Drops || earlier.To != nil
		if !known || earlier.From != step.From || !earlier.versions().covers(step.versions()) {
			continue
		}
		if !slices.ContainsFunc(c.links[h+1:i], func(l link) bool { return mayMake(&l.step, step.From) }) {
			return &c.links[h]
		}
	}
	return nil
}

// overlapping returns the adapter before the i-th that takes some of its versions, and which, nil when there is none. One
// without versions takes what others leave, so it overlaps with none.
func (c *Chain) overlapping(i int) (*link, Range) {
	step := &c.links[i].step
	if step.From == "" || step.Versions == nil {
		return nil, Range{}
	}
	for h := range i {
		earlier := &c.links[h].step
		known := earlier.Drops || earlier.To != nil
		if !known || earlier.From != step.From || earlier.Versions == nil || !earlier.Versions.meets(*step.Versions) {
			continue
		}
		renews := func(l link) bool { return l.step.From != step.From && mayMake(&l.step, step.From) }
		if !slices.ContainsFunc(c.links[h+1:i], renews) {
			return &c.links[h], Range{max(earlier.Versions.First, step.Versions.First), min(earlier.Versions.Last, step.Versions.Last)}
		}
	}
	return nil, Range{}
}

// mayMake reports whether a step makes events of a type, or may do so.
func mayMake(step *Step, name protoreflect.FullName) bool {
	return !step.Drops && (step.To == nil || slices.Contains(step.To, name))
}

// feeding returns the adapters after the i-th that make what it takes.
func (c *Chain) feeding(i int) []*link {
	step := &c.links[i].step
	var found []*link
	for f := i + 1; f < len(c.links); f++ {
		later := &c.links[f].step
		if step.From == "" || !slices.Contains(later.To, step.From) {
			continue
		}
		made := later.versions()
		if later.From == step.From && later.Versions != nil {
			made = Range{later.Versions.Last + 1, later.Versions.Last + 1}
		}
		if step.versions().meets(made) {
			found = append(found, &c.links[f])
		}
	}
	return found
}

// circle returns types that lead to each other, nil when there are none. A type that leads to its own next version is none.
func (c *Chain) circle() []string {
	done := make(map[protoreflect.FullName]bool)
	var path []string
	var walk func(name protoreflect.FullName) bool
	walk = func(name protoreflect.FullName) bool {
		if at := slices.Index(path, string(name)); at >= 0 {
			path = append(path[at:], string(name))
			return true
		}
		if done[name] {
			return false
		}
		path = append(path, string(name))
		for i := range c.links {
			step := &c.links[i].step
			if step.From != name {
				continue
			}
			for _, to := range step.To {
				if to != name && walk(to) {
					return true
				}
			}
		}
		path, done[name] = path[:len(path)-1], true
		return false
	}
	for i := range c.links {
		if from := c.links[i].step.From; from != "" && walk(from) {
			return path
		}
	}
	return nil
}
