package kubernetes

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// manifests are what bank.yaml holds. A field that Kubernetes does not know is an error.
type manifests struct {
	front, nodes corev1.Service
	budget       policyv1.PodDisruptionBudget
	set          appsv1.StatefulSet
}

func read(t *testing.T) *manifests {
	t.Helper()
	file, err := os.ReadFile("bank.yaml")
	require.NoError(t, err)
	documents := bytes.Split(file, []byte("\n---\n"))
	m := new(manifests)
	objects := []any{&m.front, &m.nodes, &m.budget, &m.set}
	kinds := []string{"v1 Service", "v1 Service", "policy/v1 PodDisruptionBudget", "apps/v1 StatefulSet"}
	require.Len(t, documents, len(objects), "an object that nothing checks")
	for i, document := range documents {
		require.NoError(t, yaml.UnmarshalStrict(document, objects[i]), "%s", document)
		var header struct{ APIVersion, Kind string }
		require.NoError(t, yaml.Unmarshal(document, &header))
		require.Equal(t, kinds[i], header.APIVersion+" "+header.Kind)
	}
	return m
}

// The manifests agree with each other and with the program.
func TestManifests(t *testing.T) {
	t.Parallel()
	m := read(t)
	pod := m.set.Spec.Template
	for _, selector := range []map[string]string{
		m.front.Spec.Selector, m.nodes.Spec.Selector, m.set.Spec.Selector.MatchLabels, m.budget.Spec.Selector.MatchLabels,
	} {
		require.Equal(t, pod.Labels, selector)
	}
	container := pod.Spec.Containers[0]
	ports := map[string]int32{}
	for _, port := range container.Ports {
		ports[port.Name] = port.ContainerPort
	}
	require.Equal(t, map[string]int32{"http": 8080, "remoting": 7000, "gossip": 7001, "gossip-udp": 7001, "peers": 7002}, ports)
	require.Equal(t, "http", m.front.Spec.Ports[0].TargetPort.StrVal)

	require.Equal(t, corev1.ClusterIPNone, m.nodes.Spec.ClusterIP, "the name must have the addresses of the pods")
	require.True(t, m.nodes.Spec.PublishNotReadyAddresses, "no node is ready before it has found others")
	require.Equal(t, appsv1.ParallelPodManagement, m.set.Spec.PodManagementPolicy, "the first is not ready before there is a second")
	require.Equal(t, m.nodes.Name, m.set.Spec.ServiceName)
	require.Equal(t, "/health", container.ReadinessProbe.HTTPGet.Path)
	require.Equal(t, "/live", container.LivenessProbe.HTTPGet.Path, "a node without a quorum is not to be restarted")

	quorum := *m.set.Spec.Replicas/2 + 1
	for _, argument := range []string{"-http=:8080", "-host=$(POD_IP)", "-port=7000", "-dns=" + m.nodes.Name, fmt.Sprint("-quorum=", quorum), "-store=env"} {
		require.Contains(t, container.Args, argument)
	}
	require.LessOrEqual(t, m.budget.Spec.MaxUnavailable.IntVal, *m.set.Spec.Replicas-quorum)

	environment := map[string]corev1.EnvVar{}
	for _, variable := range container.Env {
		environment[variable.Name] = variable
	}
	require.Equal(t, "status.podIP", environment["POD_IP"].ValueFrom.FieldRef.FieldPath)
	require.NotNil(t, environment["STORE"].ValueFrom.SecretKeyRef)
	require.True(t, slices.ContainsFunc(container.VolumeMounts, func(mount corev1.VolumeMount) bool {
		return mount.MountPath == environment["HOME"].Value
	}), "GoAkt writes below HOME, and nothing else can be written to")
}

// What the manifests give the program, and the image that the Dockerfile builds, exist.
func TestProgram(t *testing.T) {
	t.Parallel()
	program, err := os.ReadFile("../main.go")
	require.NoError(t, err)
	flags := regexp.MustCompile(`flag\.\w+\((?:&[\w.]+, )?"(\w+)"`).FindAllStringSubmatch(string(program), -1)
	m := read(t)
	container := m.set.Spec.Template.Spec.Containers[0]
	for _, argument := range container.Args {
		name, _, _ := strings.Cut(strings.TrimPrefix(argument, "-"), "=")
		require.True(t, slices.ContainsFunc(flags, func(f []string) bool { return f[1] == name }), "the program knows no -%s", name)
	}
	front, err := os.ReadFile("../node/front.go")
	require.NoError(t, err)
	for _, probe := range []*corev1.Probe{container.ReadinessProbe, container.LivenessProbe} {
		require.Contains(t, string(front), `"GET `+probe.HTTPGet.Path+`"`)
	}
	dockerfile, err := os.ReadFile("../Dockerfile")
	require.NoError(t, err)
	require.Contains(t, string(dockerfile), "-t "+container.Image+" ")
	built := regexp.MustCompile(`-o (/\w+) (\./\S+)`).FindStringSubmatch(string(dockerfile))
	require.Contains(t, string(dockerfile), `ENTRYPOINT ["`+built[1]+`"]`)
	require.FileExists(t, "../../../"+built[2]+"/main.go")
}
