{{- define "coatcheck.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The labels of a part: call with (dict "root" $ "part" "serve"). */}}
{{- define "coatcheck.selector" -}}
app.kubernetes.io/name: coatcheck
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "coatcheck.labels" -}}
{{ include "coatcheck.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "coatcheck.cluster" -}}
{{ .Release.Name }}-database
{{- end }}

{{/* The secret of the role that owns the tables: CloudNativePG creates it. */}}
{{- define "coatcheck.ownerSecret" -}}
{{ if .Values.database.create }}{{ include "coatcheck.cluster" . }}-app{{ else }}{{ .Values.database.ownerSecret }}{{ end }}
{{- end }}

{{/* CloudNativePG's service leads to the primary. */}}
{{- define "coatcheck.url" -}}
{{ if .Values.database.create }}postgresql:///{{ .Values.database.name }}?host={{ include "coatcheck.cluster" . }}-rw&sslmode=require{{ else }}{{ .Values.database.url }}{{ end }}
{{- end }}

{{/* libpq takes the role and the password from the environment, so that no URL contains them. libpq refuses a pass file
that its group can read, as every file of a secret can be. Call with (dict "root" $ "secret" NAME). */}}
{{- define "coatcheck.environment" -}}
- name: COATCHECK_DATABASE_URL
  value: {{ include "coatcheck.url" .root | quote }}
- name: PGUSER
  valueFrom: { secretKeyRef: { name: {{ .secret }}, key: username } }
- name: PGPASSWORD
  valueFrom: { secretKeyRef: { name: {{ .secret }}, key: password } }
- name: COATCHECK_DATABASE_POOLING
  value: {{ .root.Values.database.pooling }}
{{- with .root.Values.database.directUrl }}
- name: COATCHECK_DATABASE_DIRECT_URL
  value: {{ . | quote }}
{{- end }}
- name: COATCHECK_MASTER_KEY_FILE
  value: /run/secrets/coatcheck/master_key
- name: COATCHECK_METRICS_HOST
  value: 0.0.0.0
- name: COATCHECK_METRICS_PORT
  value: {{ .root.Values.metrics.port | quote }}
{{- range $name, $value := .root.Values.settings }}
- name: COATCHECK_{{ upper $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{- define "coatcheck.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "coatcheck.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "coatcheck.mounts" -}}
- { name: master-key, mountPath: /run/secrets/coatcheck, readOnly: true }
- { name: tmp, mountPath: /tmp }
{{- end }}

{{- define "coatcheck.volumes" -}}
- name: master-key
  secret:
    secretName: {{ .Values.secrets.masterKey }}
    defaultMode: 0400
    items: [{ key: master_key, path: master_key }]
- name: tmp
  emptyDir: { medium: Memory, sizeLimit: 64Mi }
{{- end }}

{{/* Copies of a part run on different machines. */}}
{{- define "coatcheck.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector: { matchLabels: { {{- include "coatcheck.selector" . | replace "\n" ", " }} } }
{{- end }}
