package protodiff

import (
	"fmt"
	"strings"
)

const (
	maxShown  = 40  // differences
	lineWidth = 100 // from which on the two texts stand below each other
)

// Text writes differences one below the other, each with its path and, after a label, its two texts.
func Text(differences []Difference, wantLabel, gotLabel string) string {
	var lines []string
	for _, d := range differences[:min(len(differences), maxShown)] {
		lines = append(lines, d.text(wantLabel, gotLabel))
	}
	if rest := len(differences) - maxShown; rest > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more differences", rest))
	}
	return strings.Join(lines, "\n")
}

func (d Difference) text(wantLabel, gotLabel string) string {
	prefix := ""
	if d.Path != "" {
		prefix = d.Path + ": "
	}
	line := fmt.Sprintf("%s%s %s, %s %s", prefix, wantLabel, d.Want, gotLabel, d.Got)
	if len(line) <= lineWidth {
		return line
	}
	width := max(len(wantLabel), len(gotLabel))
	below := fmt.Sprintf("\n    %-*s %s\n    %-*s %s", width, wantLabel, d.Want, width, gotLabel, d.Got)
	if d.Path == "" {
		return below[1:]
	}
	return d.Path + ":" + below
}
