// Package kubernetes holds the manifests of the example cluster, bank.yaml, against the types of Kubernetes. It is a module of
// its own, for those types.
package kubernetes
