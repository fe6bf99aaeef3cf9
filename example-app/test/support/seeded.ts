/** Ids that the seeds give. */
export const ada = 1; // admin, support
export const ben = 2; // admin
export const cleo = 3; // a customer
export const dan = 4; // a customer

export const SEEDED_USERS = 4;
