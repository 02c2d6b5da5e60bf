"""A shop's answers to the 27 intents of Bitext's customer-service set, written for this benchmark.

The set has questions alone. Each intent has the question that an editor would write above its
answer, and the answer.
"""

from __future__ import annotations

from collections.abc import Mapping

TEMPLATES: Mapping[str, tuple[str, str]] = {
    "cancel_order": (
        "How do I cancel an order?",
        "Open My orders, choose the order and press Cancel. An order can be cancelled until it has "
        "left our warehouse.",
    ),
    "change_order": (
        "How do I change an order: add or remove an item?",
        "Open My orders and press Edit to add, swap or remove items of a purchase. This works as "
        "long as the order is being prepared.",
    ),
    "place_order": (
        "How do I place an order, how do I buy something?",
        "Put the products into the basket, press Check out and confirm. You get an e-mail with the "
        "order number within a minute.",
    ),
    "track_order": (
        "Where is my order, what is its status?",
        "My orders shows the status of each order and the tracking number of the parcel. Press "
        "Track to see where it is now.",
    ),
    "check_cancellation_fee": (
        "Is there a cancellation fee or an early termination penalty?",
        "Cancelling within 14 days is free. After that the cancellation fee is 10 % of the price, "
        "at most 20 euros.",
    ),
    "check_invoice": (
        "Where can I see or check my invoice?",
        "All invoices are listed in My account under Invoices, newest first. Open one to check its "
        "lines.",
    ),
    "get_invoice": (
        "How do I get or download an invoice or a bill?",
        "Press Download beside the invoice to get your bill as a PDF. We can also send it by post "
        "on request.",
    ),
    "check_payment_methods": (
        "Which payment methods do you accept?",
        "You can pay by Visa, Mastercard, PayPal or bank transfer, but not in cash on delivery.",
    ),
    "payment_issue": (
        "My payment failed, how do I report a problem with a payment?",
        "Check that the card is not expired and try again after ten minutes. If the payment still "
        "fails, report the error with the form Payment problems.",
    ),
    "check_refund_policy": (
        "What is your refund policy, when may I ask for my money back?",
        "Under our money back guarantee a product may be sent back within 30 days if it is unused. "
        "Gift cards are not refunded.",
    ),
    "get_refund": (
        "How do I get a refund, how do I get my money back?",
        "Ask for the refund in My orders with Return and refund. The money goes to the card you "
        "paid with.",
    ),
    "track_refund": (
        "What is the status of my refund, when will it arrive?",
        "The state of a refund is shown in My refunds. Banks need 3 to 5 days until it is on your "
        "account.",
    ),
    "complaint": (
        "How do I make a complaint or file a claim?",
        "Write your complaint with the form Complaints; a consumer claim gets a number and an "
        "answer within two working days.",
    ),
    "review": (
        "How do I leave a review or give feedback or an opinion?",
        "Open the product page and press Write a review to leave your opinion, from one to five "
        "stars.",
    ),
    "contact_customer_service": (
        "When and how can I contact customer service, what are your hours?",
        "Customer service is there from Monday to Friday, 8:00 to 18:00, by phone and e-mail.",
    ),
    "contact_human_agent": (
        "How do I talk to a human agent, to a real person?",
        "Type agent at any time and the chat is handed over to a person. Outside of office hours "
        "an agent calls you back.",
    ),
    "create_account": (
        "How do I create or open an account?",
        "Press Register, type your e-mail address and choose a password; your new account is ready "
        "at once.",
    ),
    "delete_account": (
        "How do I delete, close or cancel my account?",
        "In Settings press Delete account. It is closed at once and erased after 30 days.",
    ),
    "edit_account": (
        "How do I edit or update the information on my account or profile?",
        "Profile in My account lets you modify your name, phone number and other personal details.",
    ),
    "switch_account": (
        "How do I switch or upgrade to another type of account?",
        "Plans in My account lets you change from one account type to another, such as from "
        "Freemium to Pro. The change holds from the next day.",
    ),
    "recover_password": (
        "I forgot my password or PIN, how do I recover or reset it?",
        "Press Forgot password and we send you a link by e-mail to set a new one. It is valid for "
        "an hour.",
    ),
    "registration_problems": (
        "I cannot register or sign up, how do I report a problem with registration?",
        "If an error comes up while signing up, clear the cookies and use another browser. Report "
        "registration errors with the form Sign-up problems.",
    ),
    "set_up_shipping_address": (
        "How do I set up or add a new or secondary shipping address?",
        "In Addresses press Add to enter a new delivery address; you can keep up to five.",
    ),
    "change_shipping_address": (
        "How do I change or correct my shipping address?",
        "In Addresses press Edit beside the delivery address to update it. Parcels already on "
        "their way keep the old one.",
    ),
    "delivery_options": (
        "Which delivery options do you offer, where do you ship to?",
        "We ship by standard mail, express and to parcel shops, to all countries of Europe.",
    ),
    "delivery_period": (
        "How long does delivery take, when will my package arrive?",
        "Standard delivery takes 3 to 5 days, express one day. You get the date when you order.",
    ),
    "newsletter_subscription": (
        "How do I subscribe to or unsubscribe from the newsletter?",
        "Newsletter in Settings signs you up; the link at the end of each one cancels the "
        "subscription.",
    ),
}
