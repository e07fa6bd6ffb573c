"""Why a detector loses points: kinds of errors, what each costs, ACT's decomposition."""
