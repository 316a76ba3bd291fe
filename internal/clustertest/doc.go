// Package clustertest tests clusters of real processes: the test binary starts itself again for every node, and its nodes
// are stopped, killed, suspended and cut off while clients write to them. What was acknowledged is then compared with what
// the cluster says.
package clustertest
