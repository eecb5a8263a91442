package detect

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

const (
	serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/"
	kubeSystem     = "/api/v1/namespaces/kube-system"
)

// kubernetes is the API server of the cluster that the process runs in.
type kubernetes struct {
	*Host
	client *http.Client
	url    string
	header map[string]string
}

// kubernetes uses the service account of the pod. The caller closes the client's
// connections.
func (h *Host) kubernetes() (kubernetes, error) {
	host, port := h.env("KUBERNETES_SERVICE_HOST"), h.env("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return kubernetes{}, notHere("KUBERNETES_SERVICE_HOST is not set")
	}
	token, errToken := h.ReadFile(serviceAccount + "token")
	ca, errCA := h.ReadFile(serviceAccount + "ca.crt")
	if err := errors.Join(errToken, errCA); err != nil {
		return kubernetes{}, notHere("read the service account of the pod: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return kubernetes{}, notHere("read %sca.crt: it has no certificate", serviceAccount)
	}
	return kubernetes{h, &http.Client{Timeout: answerTimeout, Transport: &http.Transport{
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext, TLSClientConfig: &tls.Config{RootCAs: roots}, MaxResponseHeaderBytes: 64 << 10,
	}}, "https://" + net.JoinHostPort(host, port), map[string]string{"Authorization": "Bearer " + strings.TrimSpace(string(token))}}, nil
}

func (k kubernetes) get(ctx context.Context, path string, into any) error {
	body, _, err := k.do(ctx, k.client, http.MethodGet, k.url+path, k.header)
	if err != nil {
		return err
	}
	return decode(path, body, into)
}

// object is what detectors read of a node or a namespace.
type object struct {
	Metadata struct{ Name, UID string }
	Spec     struct{ ProviderID string }
}

func detectK8sNode(ctx context.Context, h *Host, o Options, r *Resource) error {
	variable := cmp.Or(o.NodeVariable, "K8S_NODE_NAME")
	node := h.env(variable)
	if node == "" {
		return notHere("the environment variable %s, with the name of the node, is not set", variable)
	}
	k, err := h.kubernetes()
	if err != nil {
		return err
	}
	defer k.client.CloseIdleConnections()
	if o.wantsAny("k8s.node.uid", "k8s.node.name") {
		var n object
		if err := k.get(ctx, "/api/v1/nodes/"+url.PathEscape(node), &n); err != nil {
			return notHere("ask Kubernetes for the node: %w", err)
		}
		r.setAll("k8s.node.uid", n.Metadata.UID, "k8s.node.name", n.Metadata.Name)
	}
	return k.clusterUID(ctx, o, r)
}

// clusterUID sets the UID of the namespace kube-system as that of the cluster.
func (k kubernetes) clusterUID(ctx context.Context, o Options, r *Resource) error {
	if !o.Wanted("k8s.cluster.uid") {
		return nil
	}
	var ns object
	err := k.get(ctx, kubeSystem, &ns)
	switch {
	case answered(err, http.StatusForbidden, http.StatusUnauthorized):
		o.Log.Warn("k8s.cluster.uid is left out: the service account may not get the namespace kube-system", "error", err)
		return nil
	case err != nil:
		return fmt.Errorf("ask Kubernetes for the namespace kube-system: %w", err)
	}
	r.Set("k8s.cluster.uid", ns.Metadata.UID)
	return nil
}

// detectEKS sets what is known without EC2's API, which needs signed requests: no
// k8s.cluster.name, and without the instance metadata service only the ids of the node.
func detectEKS(ctx context.Context, h *Host, o Options, r *Resource) error {
	if err := h.onEKS(ctx); err != nil {
		return err
	}
	r.setAll("cloud.provider", "aws", "cloud.platform", "aws_eks")
	if o.Wanted("k8s.cluster.name") {
		o.Log.Warn("k8s.cluster.name is left out: the EKS detector does not ask EC2's API")
	}
	if !o.wantsAny("cloud.account.id", "cloud.availability_zone", "cloud.region", "host.id", "host.image.id", "host.name", "host.type") {
		return nil
	}
	s, err := h.imds(ctx)
	if err == nil {
		var doc identity
		if doc, err = s.identity(ctx); err == nil {
			doc.set(r)
			var name string
			if name, err = s.get(ctx, "meta-data/hostname"); err == nil {
				r.Set("host.name", name)
			}
			return notHereAfter(r, err)
		}
	}
	return notHereAfter(r, h.eksNode(ctx, o, r))
}

// onEKS returns a NotHereError unless the cluster is one of EKS.
func (h *Host) onEKS(ctx context.Context) error {
	if h.env("KUBERNETES_SERVICE_HOST") == "" {
		return notHere("KUBERNETES_SERVICE_HOST is not set")
	}
	if strings.Contains(h.env("AWS_WEB_IDENTITY_TOKEN_FILE"), "eks.amazonaws.com") ||
		strings.Contains(h.env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"), "eks-pod-identity") {
		return nil
	}
	k, err := h.kubernetes()
	if err != nil {
		return err
	}
	defer k.client.CloseIdleConnections()
	var oidc struct{ Issuer string }
	if err := k.get(ctx, "/.well-known/openid-configuration", &oidc); err == nil && strings.Contains(oidc.Issuer, "oidc.eks.") {
		return nil
	}
	var version struct{ GitVersion string }
	if err := k.get(ctx, "/version", &version); err != nil {
		return notHere("ask Kubernetes for its version: %w", err)
	}
	if !strings.Contains(version.GitVersion, "-eks-") {
		return notHere("the version of Kubernetes is %s, not one of EKS", version.GitVersion)
	}
	return nil
}

// eksNode sets what the provider id of the node says: aws:///us-west-2a/i-049ca2df511bec762.
func (h *Host) eksNode(ctx context.Context, o Options, r *Resource) error {
	node := h.env(o.NodeVariable)
	if o.NodeVariable == "" || node == "" {
		return errors.New("the instance metadata service does not answer, and eks.node_from_env_var does not name a variable with the name of the node")
	}
	k, err := h.kubernetes()
	if err != nil {
		return err
	}
	defer k.client.CloseIdleConnections()
	var n object
	if err := k.get(ctx, "/api/v1/nodes/"+url.PathEscape(node), &n); err != nil {
		return fmt.Errorf("ask Kubernetes for the node: %w", err)
	}
	parts := strings.Split(n.Spec.ProviderID, "/")
	if len(parts) < 5 || parts[0] != "aws:" || parts[3] == "" || parts[4] == "" {
		return fmt.Errorf("expected a provider id such as aws:///us-west-2a/i-0123, found %q", n.Spec.ProviderID)
	}
	r.setAll("cloud.availability_zone", parts[3], "cloud.region", parts[3][:len(parts[3])-1], "host.id", parts[4])
	return nil
}

func detectOpenShift(ctx context.Context, h *Host, _ Options, r *Resource) error {
	k, err := h.kubernetes()
	if err != nil {
		return err
	}
	defer k.client.CloseIdleConnections()
	var infra struct {
		Status struct {
			InfrastructureName string
			PlatformStatus     struct {
				Type      string
				AWS, GCP  struct{ Region string }
				Azure     struct{ CloudName string }
				IBMCloud  struct{ Location string }
				OpenStack struct{ CloudName string }
			}
		}
	}
	if err := k.get(ctx, "/apis/config.openshift.io/v1/infrastructures/cluster", &infra); err != nil {
		return notHere("ask OpenShift for its infrastructure: %w", err)
	}
	setNonEmpty(r, "k8s.cluster.name", infra.Status.InfrastructureName)
	p := infra.Status.PlatformStatus
	for _, c := range []struct{ typ, provider, platform, region string }{
		{"aws", "aws", "aws_openshift", p.AWS.Region},
		{"azure", "azure", "azure.openshift", p.Azure.CloudName},
		{"gcp", "gcp", "gcp_openshift", p.GCP.Region},
		{"ibmcloud", "ibm_cloud", "ibm_cloud_openshift", p.IBMCloud.Location},
		{"openstack", "", "", p.OpenStack.CloudName},
	} {
		if strings.EqualFold(p.Type, c.typ) {
			setNonEmpty(r, "cloud.provider", c.provider, "cloud.platform", c.platform)
			r.Set("cloud.region", strings.ToLower(c.region))
		}
	}
	return nil
}
