package detect

import "strings"

// Known are the detectors of the Collector, by name. The attributes, and whether they are
// on, are those of its release 0.161.
var Known = []Detector{
	{Name: "akamai", Section: "akamai", Detect: detectAkamai, Attributes: attributes(`cloud.account.id cloud.platform cloud.provider cloud.region host.id host.image.id
		host.image.name host.name host.type`, "")},
	{Name: "aks", Section: "aks", Detect: detectAKS, Attributes: attributes(`cloud.platform cloud.provider`, `k8s.cluster.name`)},
	{Name: "alibaba_ecs", Section: "alibaba_ecs", Detect: detectAlibaba, Attributes: attributes(`cloud.account.id cloud.availability_zone cloud.platform cloud.provider cloud.region host.id
		host.image.id host.name host.type`, "")},
	{Name: "azure", Section: "azure", Detect: detectAzure, Attributes: attributes(`azure.resourcegroup.name azure.vm.name azure.vm.scaleset.name azure.vm.size cloud.account.id
		cloud.platform cloud.provider cloud.region host.id host.name`, `cloud.availability_zone`)},
	{Name: "azureappservice", Section: "azureappservice", Detect: detectAppService, Attributes: attributes(`azure.app_service.instance.id azure.resource_group.name cloud.account.id cloud.platform
		cloud.provider cloud.region cloud.resource_id deployment.environment.name service.name`, "")},
	{Name: "azurecontainerapps", Section: "azurecontainerapps", Detect: detectContainerApps, Attributes: attributes(`azure.container_app.instance.id cloud.platform cloud.provider service.name`, "")},
	{Name: "consul", Section: "consul", Attributes: attributes(`cloud.region host.id host.name`, "")},
	{Name: "digitalocean", Section: "digitalocean", Detect: detectDigitalOcean, Attributes: attributes(`cloud.provider cloud.region host.id host.name`, "")},
	{Name: "docker", Section: "docker", Detect: detectDocker, Attributes: attributes(`host.name os.type`, `container.image.name container.name`)},
	{Name: "dynatrace", Detect: detectDynatrace, Unversioned: true},
	{Name: "ec2", Section: "ec2", Detect: detectEC2, Attributes: attributes(`cloud.account.id cloud.availability_zone cloud.platform cloud.provider cloud.region host.id
		host.image.id host.name host.type`, "")},
	{Name: "ecs", Section: "ecs", Detect: detectECS, Attributes: attributes(`aws.ecs.cluster.arn aws.ecs.launchtype aws.ecs.task.arn aws.ecs.task.family aws.ecs.task.id
		aws.ecs.task.revision aws.log.group.arns aws.log.group.names aws.log.stream.arns
		aws.log.stream.names cloud.account.id cloud.availability_zone cloud.platform cloud.provider
		cloud.region`, "")},
	{Name: "eks", Section: "eks", Detect: detectEKS, Attributes: attributes(`cloud.platform cloud.provider`, `cloud.account.id cloud.availability_zone cloud.region host.id host.image.id host.name host.type
		k8s.cluster.name`)},
	{Name: "elastic_beanstalk", Section: "elasticbeanstalk", Detect: detectBeanstalk, Attributes: attributes(`cloud.platform cloud.provider deployment.environment deployment.environment.name deployment.id
		service.instance.id service.version`, "")},
	{Name: "env", Detect: detectEnv, Required: true, Unversioned: true},
	{Name: "gcp", Section: "gcp", Detect: detectGCP, Attributes: attributes(`cloud.account.id cloud.availability_zone cloud.platform cloud.provider cloud.region
		faas.instance faas.name faas.version gcp.cloud_run.job.execution gcp.cloud_run.job.task_index
		gcp.gce.instance_group_manager.name gcp.gce.instance_group_manager.region
		gcp.gce.instance_group_manager.zone host.id host.name host.type k8s.cluster.name`, `gcp.gce.instance.hostname gcp.gce.instance.name`)},
	{Name: "heroku", Section: "heroku", Detect: detectHeroku, Attributes: attributes(`cloud.provider heroku.app.id heroku.dyno.id heroku.release.commit
		heroku.release.creation_timestamp service.instance.id service.name service.version`, "")},
	{Name: "hetzner", Section: "hetzner", Detect: detectHetzner, Attributes: attributes(`cloud.availability_zone cloud.provider cloud.region host.id host.name`, `cloud.platform`)},
	{Name: "ibmcloud_classic", Section: "ibmcloud_classic", Detect: detectIBMClassic, Attributes: attributes(`cloud.account.id cloud.availability_zone cloud.platform cloud.provider cloud.resource_id
		host.id host.name`, "")},
	{Name: "ibmcloud_vpc", Section: "ibmcloud_vpc", Attributes: attributes(`cloud.account.id cloud.availability_zone cloud.platform cloud.provider cloud.region
		cloud.resource_id host.id host.image.id host.image.name host.name host.type`, "")},
	{Name: "k8s_api", Section: "k8s_api", Detect: detectK8sNode, Attributes: attributes(`k8s.cluster.uid k8s.node.name k8s.node.uid`, "")},
	{Name: "k8snode", Section: "k8snode", Detect: detectK8sNode, Attributes: attributes(`k8s.cluster.uid k8s.node.name k8s.node.uid`, "")},
	{Name: "kubeadm", Section: "kubeadm", Attributes: attributes(`k8s.cluster.name k8s.cluster.uid`, "")},
	{Name: "lambda", Section: "lambda", Detect: detectLambda, Attributes: attributes(`aws.log.group.names aws.log.stream.names cloud.platform cloud.provider cloud.region
		faas.instance faas.max_memory faas.name faas.version`, "")},
	{Name: "nova", Section: "nova", Detect: detectNova, Attributes: attributes(`cloud.account.id cloud.availability_zone cloud.platform cloud.provider host.id host.name
		host.type`, "")},
	{Name: "openshift", Section: "openshift", Detect: detectOpenShift, Attributes: attributes(`cloud.platform cloud.provider cloud.region k8s.cluster.name`, "")},
	{Name: "oraclecloud", Section: "oraclecloud", Detect: detectOracle, Attributes: attributes(`cloud.availability_zone cloud.platform cloud.provider cloud.region host.id host.name host.type
		k8s.cluster.name oracle_cloud.realm`, `cloud.resource_id`)},
	{Name: "scaleway", Section: "scaleway", Detect: detectScaleway, Attributes: attributes(`cloud.account.id cloud.availability_zone cloud.platform cloud.provider cloud.region host.id
		host.image.id host.image.name host.name host.type`, "")},
	{Name: "system", Section: "system", Detect: detectSystem, Required: true, Attributes: attributes(`host.name os.type`, `host.arch host.cpu.cache.l2.size host.cpu.family host.cpu.model.id host.cpu.model.name
		host.cpu.stepping host.cpu.vendor.id host.id host.interface host.ip host.mac os.build.id
		os.description os.name os.version`)},
	{Name: "tencent_cvm", Section: "tencent_cvm", Detect: detectTencent, Attributes: attributes(`cloud.account.id cloud.availability_zone cloud.platform cloud.provider cloud.region host.id
		host.image.id host.name host.type`, "")},
	{Name: "upcloud", Section: "upcloud", Detect: detectUpCloud, Attributes: attributes(`cloud.provider cloud.region host.id host.name`, "")},
	{Name: "vultr", Section: "vultr", Detect: detectVultr, Attributes: attributes(`cloud.provider cloud.region host.id host.name`, `cloud.platform`)},
}

// attributes returns attributes that are on, and some that are off.
func attributes(on, off string) (all []Attribute) {
	for key := range strings.FieldsSeq(on) {
		all = append(all, Attribute{key, true})
	}
	for key := range strings.FieldsSeq(off) {
		all = append(all, Attribute{key, false})
	}
	return all
}

// Find returns the detector with a name, or whose section has it.
func Find(name string) (Detector, bool) {
	for _, d := range Known {
		if name != "" && (d.Name == name || d.Section == name) {
			return d, true
		}
	}
	return Detector{}, false
}
