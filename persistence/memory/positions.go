package memory

import "slices"

// positionBlock is how many positions stand in one block. A block of a short journal is smaller.
const positionBlock = 1024

// positions maps the numbers of one entity to positions, in blocks: a long journal is never copied to grow, and its
// start can be given back.
type positions struct {
	blocks  [][]uint64
	dropped uint64 // numbers whose blocks have gone, a multiple of positionBlock
}

// append adds the position of the next number.
func (p *positions) append(position uint64) {
	last := len(p.blocks) - 1
	if last < 0 || len(p.blocks[last]) == positionBlock {
		capacity := positionBlock
		if last < 0 && p.dropped == 0 {
			capacity = 1 // most entities have few events
		}
		p.blocks = append(p.blocks, make([]uint64, 0, capacity))
		last++
	}
	p.blocks[last] = append(p.blocks[last], position)
}

// at returns the position of a number that was not dropped.
func (p *positions) at(number uint64) uint64 {
	i := number - 1 - p.dropped
	return p.blocks[i/positionBlock][i%positionBlock]
}

// dropTo forgets numbers up to the one given, as far as whole blocks go.
func (p *positions) dropTo(number uint64) {
	n := int((number - p.dropped) / positionBlock)
	p.blocks = slices.Delete(p.blocks, 0, n)
	p.dropped += uint64(n) * positionBlock
}
