"""The world of a sandbox that the tests of worlds share."""

WORLD = """\
version: 1
processors:
- name: Payments Inc
- name: Owners Inc
  owners_at_transactions: true
clients:
- name: Acme
  processors:
  - Payments Inc
  users:
  - id: alice
    email: alice@mail.example
    members:
    - login: alice
      persona: salaried
      controls:
      - nsf
      - slow=0.01s
    - institution: mxcu_credential
      persona: student
      accounts:
      - Checking
      - Student Loan
      verify: false
    accounts:
    - name: Painting
      type: PROPERTY
      balance: 1200.50
  - metadata: without an id
    members:
    - controls:
      - locked
- name: Another client
  users:
  - id: alice
"""
