package ego

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// mutualTLS returns what a server and a client need so that each verifies the other; nil for no TLS. GoAkt uses that of the
// client on both sides of its gossip.
func mutualTLS(config *tls.Config) (server, client *tls.Config) {
	if config == nil {
		return nil, nil
	}
	server = config.Clone()
	server.ClientAuth = tls.RequireAndVerifyClientCert
	if server.ClientCAs == nil {
		server.ClientCAs = config.RootCAs
	}
	if server.RootCAs == nil {
		server.RootCAs = config.ClientCAs
	}
	if server.MinVersion == 0 {
		server.MinVersion = tls.VersionTLS13
	}
	client = server.Clone()
	if config.ServerName == "" { // GoAkt's client does not say whom it wants to reach, so there is no name to compare
		client.InsecureSkipVerify = true
		client.VerifyConnection = verifyChain(client.RootCAs)
	}
	return server, client
}

// verifyChain does what the standard library does without a name: the certificate of the peer must come from one of the
// authorities, be valid now and be good for a server.
func verifyChain(authorities *x509.CertPool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("ego: the node shows no certificate")
		}
		options := x509.VerifyOptions{Roots: authorities, Intermediates: x509.NewCertPool()}
		for _, certificate := range state.PeerCertificates[1:] {
			options.Intermediates.AddCert(certificate)
		}
		_, err := state.PeerCertificates[0].Verify(options)
		return err
	}
}
