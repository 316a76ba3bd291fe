package clustertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// nodeTLS reads the certificates of a node.
func nodeTLS(dir string) (*tls.Config, error) {
	if dir == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "node.crt"), filepath.Join(dir, "node.key"))
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, errors.New("no authority")
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, MinVersion: tls.VersionTLS13}, nil
}

// authority signs the certificates of nodes.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{certificate, key}
}

// issue writes the certificate of a node to a directory, and those it trusts.
func (a *authority) issue(t testing.TB, trusted *authority) (dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.certificate, key.Public(), a.key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir = t.TempDir()
	for name, block := range map[string]*pem.Block{
		"node.crt": {Type: "CERTIFICATE", Bytes: der},
		"node.key": {Type: "PRIVATE KEY", Bytes: secret},
		"ca.crt":   {Type: "CERTIFICATE", Bytes: trusted.certificate.Raw},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	return dir
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ours, foreign := newAuthority(t), newAuthority(t)
	c := prepareCluster(t, 3, func(i int, spec *nodeSpec) {
		signer := ours
		if i == 2 {
			signer = foreign // it trusts the others, who must not trust it
		}
		spec.TLS = signer.issue(t, ours)
	})
	c.nodes[0].start()
	c.nodes[1].start()
	c.awaitMembers(2, c.nodes[:2]...)
	for i := range 16 {
		id := fmt.Sprint("account-", i)
		c.nodes[0].must(call{Op: "entity", ID: id})
		for _, node := range c.nodes[:2] {
			node.must(call{Op: "deposit", ID: id, Amount: 1})
		}
	}
	c.nodes[2].launch()
	stranger := time.After(8 * time.Second)
	for waiting := true; waiting; {
		select {
		case <-stranger:
			waiting = false
		case <-time.After(200 * time.Millisecond):
			a := c.nodes[0].must(call{Op: "topology"})
			require.Len(t, a.Topology.Members, 2, "a node with a foreign certificate has joined")
		}
	}
	require.EqualValues(t, 2, c.nodes[1].must(call{Op: "state", ID: "account-0"}).Balance)
}
